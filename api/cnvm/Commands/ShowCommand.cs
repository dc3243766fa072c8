using System.Globalization;
using System.Text;
using System.Text.Json;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm show</c>: a VM's configuration, state and counters for people.</summary>
internal static class ShowCommand
{
    private static readonly (string Key, string Kind)[] DeviceLists =
    [
        ("disks", "disk"), ("net", "net"), ("fs", "fs"), ("pmem", "pmem"), ("devices", "vfio"), ("user_devices", "vfio-user"),
        ("vdpa", "vdpa"), ("generic_vhost_user", "vhost-user"),
    ];

    /// <summary>What tells one device from another, the first that is there.</summary>
    private static readonly string[] Sources = ["path", "tap", "file", "socket", "vhost_socket", "tag"];

    public static int Run(Invocation invocation)
    {
        VmTarget target = VmTarget.Find(invocation);
        using CnvmClient client = target.Connect();
        byte[] ping = client.Call("GET", "vmm.ping");
        byte[]? info = Optional(client, "vm.info");
        byte[]? counters = Optional(client, "vm.counters");
        if (invocation.Json)
        {
            Stdio.Print([
                .. "{\"ping\":"u8, .. ping, .. ",\"info\":"u8, .. info ?? "null"u8, .. ",\"counters\":"u8, .. counters ?? "null"u8, .. "}"u8]);
            return ExitCode.Success;
        }

        VmEntry? entry = target.Name is null ? null : VmRegistry.List().FirstOrDefault(e => e.Name == target.Name);
        using JsonDocument pinged = JsonDocument.Parse(ping);
        var text = new StringBuilder();
        Line(text, "Name", target.Name ?? "-");
        Line(text, "Socket", target.Socket);
        string up = entry is null ? "" : $", up {Units.Duration(DateTimeOffset.UtcNow - entry.Started)}";
        Line(text, "VMM", $"{Field(pinged.RootElement, "version")}, process {Field(pinged.RootElement, "pid")}{up}");
        if (info is null)
        {
            Line(text, "State", "empty: the VMM has no VM yet (see cnvm create --help)");
        }
        else
        {
            using JsonDocument document = JsonDocument.Parse(info);
            Describe(text, document.RootElement);
        }

        if (counters is not null)
        {
            using JsonDocument document = JsonDocument.Parse(counters);
            Count(text, document.RootElement);
        }

        Stdio.Print(text.ToString());
        return ExitCode.Success;
    }

    /// <summary>Ids of the devices in an answer to <c>vm.info</c>.</summary>
    public static IEnumerable<string> DeviceIds(JsonElement info) =>
        DeviceLists.SelectMany(l => Items(info.GetProperty("config"), l.Key)).Select(d => Field(d, "id")).Where(id => id != "-");

    // A VMM without a VM has no info, and a VM that does not run has no counters.
    private static byte[]? Optional(CnvmClient client, string endpoint)
    {
        try
        {
            return client.Call("GET", endpoint);
        }
        catch (ApiCallException)
        {
            return null;
        }
    }

    private static void Describe(StringBuilder text, JsonElement info)
    {
        VmSummary summary = VmSummary.Read(info);
        JsonElement config = info.GetProperty("config");
        Line(text, "State", summary.State);
        Line(text, "vCPUs", summary.Vcpus?.ToString(CultureInfo.InvariantCulture) ?? "-");
        Line(text, "Memory", summary.MemoryBytes is { } bytes ? Units.Size(bytes) : "-");
        if (config.TryGetProperty("payload", out JsonElement payload))
        {
            foreach (string key in (ReadOnlySpan<string>)["kernel", "firmware", "initramfs", "cmdline"])
            {
                if (Field(payload, key) is var value and not "-")
                {
                    Line(text, char.ToUpperInvariant(key[0]) + key[1..], value);
                }
            }
        }

        foreach (string key in (ReadOnlySpan<string>)["serial", "console", "debug_console"])
        {
            if (config.TryGetProperty(key, out JsonElement console) && Field(console, "mode") is var mode and not ("Off" or "Null"))
            {
                string where = Field(console, "file") is var file and not "-" ? file : Field(console, "socket");
                Line(text, char.ToUpperInvariant(key[0]) + key[1..].Replace('_', ' '), $"{mode.ToLowerInvariant()} {(where == "-" ? "" : where)}".TrimEnd());
            }
        }

        var table = new Table("DEVICE", "KIND", "FROM", "NOTES");
        bool any = false;
        foreach ((string list, string kind) in DeviceLists)
        {
            foreach (JsonElement device in Items(config, list))
            {
                string source = Sources.Select(s => Field(device, s)).FirstOrDefault(s => s != "-") ?? "-";
                string notes = string.Join(", ", Notes(device));
                table.Add(Field(device, "id"), kind, source, notes);
                any = true;
            }
        }

        text.Append(any ? $"\n{table}" : "");
    }

    private static IEnumerable<string> Notes(JsonElement device)
    {
        if (Field(device, "mac") is var mac and not "-")
        {
            yield return mac;
        }

        if (Field(device, "readonly") == "true")
        {
            yield return "read-only";
        }

        if (device.TryGetProperty("size", out JsonElement size) && size.ValueKind == JsonValueKind.Number)
        {
            yield return Units.Size(size.GetUInt64());
        }
    }

    private static void Count(StringBuilder text, JsonElement counters)
    {
        var table = new Table("DEVICE", "COUNTER", ">VALUE");
        bool any = false;
        foreach (JsonProperty device in counters.EnumerateObject())
        {
            foreach (JsonProperty counter in device.Value.EnumerateObject())
            {
                ulong value = counter.Value.GetUInt64();
                bool isSize = counter.Name.EndsWith("bytes", StringComparison.Ordinal);
                table.Add(device.Name, counter.Name, isSize ? Units.Size(value) : value.ToString("N0", CultureInfo.InvariantCulture));
                any = true;
            }
        }

        text.Append(any ? $"\n{table}" : "");
    }

    private static JsonElement.ArrayEnumerator Items(JsonElement config, string key) =>
        config.TryGetProperty(key, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? list.EnumerateArray() : default;

    private static string Field(JsonElement element, string key)
    {
        if (!element.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return "-";
        }

        return value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
    }

    private static void Line(StringBuilder text, string label, string value)
    {
        const int Width = 15;
        text.Append(label.PadRight(Width)).Append(value).Append('\n');
    }
}
