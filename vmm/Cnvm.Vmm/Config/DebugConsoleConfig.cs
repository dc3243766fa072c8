using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The debug port: every byte written to it is output.</summary>
/// <param name="Iobase">I/O port; 0xe9 if null.</param>
/// <param name="FileSize">Most bytes that the output file has, after which its older half goes, from 65536; no limit if null. cnvm's own.</param>
public sealed record DebugConsoleConfig(
    string? File = null,
    [property: JsonRequired] ConsoleMode Mode = ConsoleMode.Off,
    ushort? Iobase = DebugConsoleConfig.DefaultIobase,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ulong? FileSize = null)
{
    public const ushort DefaultIobase = 0xe9;
}
