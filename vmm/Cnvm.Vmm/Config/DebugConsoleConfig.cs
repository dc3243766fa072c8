using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The debug port: every byte written to it is output.</summary>
/// <param name="Iobase">I/O port; 0xe9 if null.</param>
public sealed record DebugConsoleConfig(
    string? File = null,
    [property: JsonRequired] ConsoleMode Mode = ConsoleMode.Off,
    ushort? Iobase = DebugConsoleConfig.DefaultIobase)
{
    public const ushort DefaultIobase = 0xe9;
}
