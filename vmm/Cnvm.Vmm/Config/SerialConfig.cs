using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The 16550 UART, COM1.</summary>
/// <param name="File">Path of the output file, or of the pseudo-terminal once it is open.</param>
/// <param name="Socket">Path of the Unix socket.</param>
/// <param name="FileSize">Most bytes that the output file has, after which its older half goes, from 65536; no limit if null. cnvm's own.</param>
public sealed record SerialConfig(
    string? File = null,
    [property: JsonRequired] ConsoleMode Mode = ConsoleMode.Null,
    string? Socket = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ulong? FileSize = null);
