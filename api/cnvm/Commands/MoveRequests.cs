using System.Globalization;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;

namespace Cnvm.Cli.Commands;

/// <summary>Snapshots, core dumps and migration.</summary>
internal static class MoveRequests
{
    public static int Snapshot(Invocation invocation)
    {
        OptionString o = Parse(invocation, "destination_url", "track_changes", "incremental", "compress", "disks");
        string destination = o.Text("destination_url") ?? throw CliException.Usage("destination_url= is missing");
        return RequestCommand.Send(invocation, "PUT", "vm.snapshot", JsonObject.Write(json =>
        {
            json.Text("destination_url", destination);
            foreach (string key in (string[])["track_changes", "incremental", "compress", "disks"])
            {
                if (o.Has(key))
                {
                    json.Toggle(key, o.Toggle(key));
                }
            }
        }));
    }

    public static int Coredump(Invocation invocation) => ToUrl(invocation, "vm.coredump");

    public static int Restore(Invocation invocation)
    {
        OptionString o = Parse(
            invocation, "source_url", "prefault", "memory_restore_mode", "net_fds", "vfio_fds", "iommufd_fd", "resume", "zone_updates",
            "net_overrides", "clock", "disk_overrides", "vsock_socket");
        string source = o.Text("source_url") ?? throw CliException.Usage("source_url= is missing");
        List<(string Id, List<int> Fds)>? nets = o.Words("net_fds")?.Select(w => SplitFds("net_fds", w)).ToList();
        List<(string Id, List<int> Fds)>? vfio = o.Words("vfio_fds")?.Select(w => SplitFds("vfio_fds", w)).ToList();
        var descriptors = new List<int>();
        descriptors.AddRange((nets ?? []).SelectMany(n => n.Fds));
        descriptors.AddRange((vfio ?? []).SelectMany(n => n.Fds));
        AddIommufd(o, descriptors);
        string? mode = Choice(o, "memory_restore_mode", "Copy", "OnDemand");
        string? clock = Choice(o, "clock", "Hold", "Advance");
        byte[] body = JsonObject.Write(json =>
        {
            json.Text("source_url", source);
            json.Toggle("prefault", o.Toggle("prefault"));
            json.Text("memory_restore_mode", mode);
            json.Objects("net_fds", nets, (item, net) =>
            {
                item.Text("id", net.Id);
                item.Number("num_fds", (ulong)net.Fds.Count);
            });
            json.Objects("vfio_fds", vfio, (item, device) => item.Text("id", device.Id));
            json.Toggle("resume", o.Toggle("resume"));
            WriteZones(json, o);
            json.Objects("net_overrides", o.Words("net_overrides"), (item, word) =>
            {
                int at = word.IndexOf('@', StringComparison.Ordinal);
                item.Text("id", at > 0 ? word[..at] : throw CliException.Usage($"net_overrides: '{word}' is not ID@MAC"));
                item.Text("mac", word[(at + 1)..]);
            });
            json.Text("clock", clock);
            json.Objects("disk_overrides", o.Words("disk_overrides"), (item, word) =>
            {
                int at = word.IndexOf('@', StringComparison.Ordinal);
                item.Text("id", at > 0 && at + 1 < word.Length ? word[..at] : throw CliException.Usage($"disk_overrides: '{word}' is not ID@PATH"));
                item.Text("path", word[(at + 1)..]);
            });
            json.Text("vsock_socket", o.Text("vsock_socket"));
        });
        return RequestCommand.Send(invocation, "PUT", "vm.restore", body, [.. descriptors]);
    }

    public static int Send(Invocation invocation)
    {
        OptionString o = Parse(
            invocation, "destination_url", "local", "preserve_source", "downtime_ms", "timeout_s", "timeout_strategy", "connections",
            "tls_dir", "tls_peer_name", "memory_mode", "with_disks", "resume");
        string destination = o.Text("destination_url") ?? throw CliException.Usage("destination_url= is missing");
        return RequestCommand.Send(invocation, "PUT", "vm.send-migration", JsonObject.Write(json =>
        {
            json.Text("destination_url", destination);
            json.Toggle("local", o.Toggle("local"));
            if (o.Has("preserve_source"))
            {
                json.Toggle("preserve_source", o.Toggle("preserve_source"));
            }

            json.Number("downtime_ms", o.Number("downtime_ms", ulong.MaxValue));
            json.Number("timeout_s", o.Number("timeout_s", ulong.MaxValue));
            json.Text("timeout_strategy", Choice(o, "timeout_strategy", "Cancel", "Ignore", "Postcopy"));
            json.Number("connections", o.UInt32("connections"));
            json.Text("tls_dir", o.Text("tls_dir"));
            json.Text("tls_peer_name", o.Text("tls_peer_name"));
            json.Text("memory_mode", Choice(o, "memory_mode", "Precopy", "Postcopy"));
            foreach (string key in (string[])["with_disks", "resume"])
            {
                if (o.Has(key))
                {
                    json.Toggle(key, o.Toggle(key));
                }
            }
        }));
    }

    public static int Receive(Invocation invocation)
    {
        OptionString o = Parse(
            invocation, "receiver_url", "tls_dir", "tls_peer_name", "memory_mode", "vfio_fds", "iommufd_fd", "zone_updates", "disks", "overwrite");
        string receiver = o.Text("receiver_url") ?? throw CliException.Usage("receiver_url= is missing");
        List<(string Id, List<int> Fds)>? vfio = o.Words("vfio_fds")?.Select(w => SplitFds("vfio_fds", w)).ToList();
        List<int> descriptors = [.. (vfio ?? []).SelectMany(n => n.Fds)];
        AddIommufd(o, descriptors);
        byte[] body = JsonObject.Write(json =>
        {
            json.Text("receiver_url", receiver);
            json.Text("tls_dir", o.Text("tls_dir"));
            json.Text("tls_peer_name", o.Text("tls_peer_name"));
            json.Text("memory_mode", Choice(o, "memory_mode", "Precopy", "Postcopy"));
            json.Objects("vfio_fds", vfio, (item, device) => item.Text("id", device.Id));
            WriteZones(json, o);
            WritePlacements(json, o);
        });
        return RequestCommand.Send(invocation, "PUT", "vm.receive-migration", body, [.. descriptors]);
    }

    private static int ToUrl(Invocation invocation, string endpoint) =>
        RequestCommand.Send(invocation, "PUT", endpoint, JsonObject.Write(json => json.Text("destination_url", invocation.Operands[0])));

    /// <summary>Keys and values, or the URL alone, which is the value of the first key.</summary>
    private static OptionString Parse(Invocation invocation, params ReadOnlySpan<string> keys)
    {
        string text = invocation.Operands[0];
        string name = invocation.Command!.Operands[0];
        return new OptionString(name, text.Contains('=', StringComparison.Ordinal) ? text : $"{keys[0]}=\"{text}\"", keys);
    }

    /// <summary><c>ID@[3,4]</c> or <c>ID@3</c>.</summary>
    private static (string Id, List<int> Fds) SplitFds(string key, string word)
    {
        int at = word.LastIndexOf('@');
        var fds = new List<int>();
        foreach (string text in at > 0 ? word[(at + 1)..].Trim('[', ']').Split(',') : [])
        {
            fds.Add(int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int fd) ? fd : throw Wrong(key, word));
        }

        return at > 0 ? (word[..at], fds) : throw Wrong(key, word);
    }

    private static CliException Wrong(string key, string word) => CliException.Usage($"{key}: '{word}' is not ID@DESCRIPTOR or ID@[DESCRIPTORS]");

    private static void AddIommufd(OptionString o, List<int> descriptors)
    {
        if (o.Number("iommufd_fd", int.MaxValue) is { } fd)
        {
            descriptors.Add((int)fd);
        }
    }

    private static void WriteZones(JsonObject json, OptionString o) => json.Objects("zone_updates", o.Words("zone_updates"), (item, word) =>
    {
        int at = word.LastIndexOf('@');
        if (at <= 0 || !uint.TryParse(word.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out uint node))
        {
            throw CliException.Usage($"zone_updates: '{word}' is not ID@NODE");
        }

        item.Text("id", word[..at]);
        item.Number("host_numa_node", node);
    });

    private static void WritePlacements(JsonObject json, OptionString o)
    {
        bool overwrites = o.Has("overwrite") && o.Toggle("overwrite");
        if (overwrites && !o.Has("disks"))
        {
            throw CliException.Usage("overwrite: needs disks=, which says what may be replaced");
        }

        json.Objects("disks", o.Words("disks"), (item, word) =>
        {
            int at = word.IndexOf('@', StringComparison.Ordinal);
            item.Text("id", at > 0 && at < word.Length - 1 ? word[..at] : throw CliException.Usage($"disks: '{word}' is not ID@FILE"));
            item.Text("path", word[(at + 1)..]);
            if (overwrites)
            {
                item.Toggle("overwrite", true);
            }
        });
    }

    /// <summary>One of some words, in any case; null if the key was not given.</summary>
    private static string? Choice(OptionString o, string key, params ReadOnlySpan<string> words)
    {
        if (o.Text(key) is not { } text)
        {
            return null;
        }

        foreach (string word in words)
        {
            if (word.Equals(text, StringComparison.OrdinalIgnoreCase))
            {
                return word;
            }
        }

        throw CliException.Usage($"{key}: '{text}' is not one of {string.Join(", ", words.ToArray()).ToLowerInvariant()}");
    }
}
