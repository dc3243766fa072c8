using System.Text.Json;
using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm console</c>.</summary>
internal static class ConsoleCommand
{
    private static readonly (string Name, string Key)[] Devices = [("serial", "serial"), ("console", "console"), ("debug", "debug_console")];

    public static int Run(Invocation invocation)
    {
        byte? escape = ParseEscape(invocation.Value("--escape"));
        string? wanted = invocation.Value("--device");
        if (wanted is not null && !Devices.Any(d => d.Name == wanted))
        {
            throw CliException.Usage($"--device: '{wanted}' is not one of {string.Join(", ", Devices.Select(d => d.Name))}");
        }

        VmTarget target = VmTarget.Find(invocation);
        (string name, string path, bool isSocket) = FindConsole(target, wanted);
        using var session = new ConsoleSession(path, isSocket, escape);
        if (session.IsInteractive)
        {
            Stdio.Error($"{target.Display}: {name} ({path}){(escape is null ? "" : $"; {Describe(escape.Value)} detaches")}\r");
        }

        bool detached = session.Run();
        if (session.IsInteractive)
        {
            Stdio.Error(detached ? $"\r\ndetached from {target.Display}\r" : $"\r\n{target.Display} has closed its {name}\r");
        }

        return ExitCode.Success;
    }

    /// <summary>The character of a key such as <c>ctrl-]</c> or <c>^a</c>; null for none.</summary>
    internal static byte? ParseEscape(string? text)
    {
        const byte ControlMask = 0x1f;
        const byte Default = (byte)']' & ControlMask;
        if (text is null or "none")
        {
            return text is null ? Default : null;
        }

        const string Long = "ctrl-";
        string key = text.StartsWith('^') ? text[1..] : text.StartsWith(Long, StringComparison.OrdinalIgnoreCase) ? text[Long.Length..] : "";
        char upper = key.Length == 1 ? char.ToUpperInvariant(key[0]) : '\0';
        return upper is >= '@' and <= '_'
            ? (byte)(upper & ControlMask)
            : throw CliException.Usage($"--escape: '{text}' is no key such as ctrl-], ctrl-a or ^x, and not none");
    }

    private static string Describe(byte escape) => $"Ctrl-{char.ToLowerInvariant((char)(escape | '@'))}";

    private static (string Name, string Path, bool IsSocket) FindConsole(VmTarget target, string? wanted)
    {
        using CnvmClient client = target.Connect();
        using JsonDocument info = JsonDocument.Parse(client.Call("GET", "vm.info"));
        JsonElement config = info.RootElement.GetProperty("config");
        var modes = new List<string>();
        foreach ((string name, string key) in Devices)
        {
            if ((wanted is not null && wanted != name) || !config.TryGetProperty(key, out JsonElement console))
            {
                continue;
            }

            string mode = console.TryGetProperty("mode", out JsonElement m) ? m.GetString() ?? "" : "";
            modes.Add($"{name} is {mode.ToLowerInvariant()}");
            string? field = mode switch { "Pty" => "file", "Socket" => "socket", _ => null };
            if (field is not null && console.TryGetProperty(field, out JsonElement path) && path.GetString() is { } found)
            {
                return (name, Absolute(target, found), mode == "Socket");
            }
        }

        throw new CliException(
            ExitCode.Failure, $"{target.Display} has no console to attach to: {string.Join(", ", modes)} (start it with --serial pty)");
    }

    /// <summary>A relative path is relative to the VMM's folder.</summary>
    private static string Absolute(VmTarget target, string path) =>
        Path.IsPathRooted(path) || target.Pid is null ? path : $"/proc/{target.Pid}/cwd/{path}";
}
