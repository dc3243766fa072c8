using System.Globalization;
using System.Text;
using System.Text.Json;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Vmm.Cpus;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm host-capabilities</c>.</summary>
internal static class HostCapabilitiesCommand
{
    private const int LabelWidth = 15;
    private const int LineWidth = 100;

    public static int Run(Invocation invocation)
    {
        byte[] file = HostQuery.Ask(invocation);
        HostCapabilities host = SnapshotCommands.Parse(file, VmmProgram.Name);
        if (invocation.Json)
        {
            // As it came, so that it is the file that check reads.
            Stdio.Print(file.AsSpan().TrimEnd((byte)'\n'));
            return ExitCode.Success;
        }

        using JsonDocument json = JsonDocument.Parse(file);
        var text = new StringBuilder();
        Line(text, "Hypervisor", [Printable.Line(host.Hypervisor)]);
        Line(text, "vCPUs", [$"at most {host.MaxVcpus}"]);
        Line(text, "Addresses", [$"{host.PhysicalAddressBits} bits"]);
        string frequency = host.TscKhz == 0 ? "not known" : string.Create(CultureInfo.InvariantCulture, $"{host.TscKhz} kHz");
        Line(text, "TSC", [$"{frequency}, {(host.TscScaling ? "or what a guest had before" : "and no other")}"]);
        Line(text, "MSRs", [host.Msrs.Count == 0 ? "not known" : $"{host.Msrs.Count}, listed with --json"]);
        Line(text, "CPU profiles", Words(json.RootElement, "profiles"));
        Line(text, "CPU features", Words(json.RootElement, "features"));
        Stdio.Print(text.ToString());
        return ExitCode.Success;
    }

    private static List<string> Words(JsonElement root, string key) =>
        [.. root.GetProperty(key).EnumerateArray().Select(e => Printable.Line(e.GetString()!))];

    /// <summary>A label and words, in as many lines as they need.</summary>
    private static void Line(StringBuilder text, string label, List<string> words)
    {
        text.Append(label.PadRight(LabelWidth));
        int column = LabelWidth;
        for (int i = 0; i < words.Count; i++)
        {
            if (i > 0 && column + 1 + words[i].Length > LineWidth)
            {
                text.Append('\n').Append(' ', LabelWidth);
                column = LabelWidth;
            }
            else if (i > 0)
            {
                text.Append(' ');
                column++;
            }

            text.Append(words[i]);
            column += words[i].Length;
        }

        text.Append(words.Count == 0 ? "none\n" : "\n");
    }
}
