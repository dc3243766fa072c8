using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The virtio console.</summary>
/// <param name="File">Path of the output file, or of the pseudo-terminal once it is open.</param>
/// <param name="Socket">Path of the Unix socket.</param>
/// <param name="FileSize">Most bytes that the output file has, after which its older half goes, from 65536; no limit if null. cnvm's own.</param>
public sealed record ConsoleConfig(
    string? File = null,
    [property: JsonRequired] ConsoleMode Mode = ConsoleMode.Tty,
    string? Socket = null,
    string? Id = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Iommu = false,
    ushort PciSegment = 0,
    byte? PciDeviceId = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ulong? FileSize = null) : IPciDeviceConfig;
