using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>Memory shared with other guests; size in bytes.</summary>
public sealed record IvshmemConfig([property: JsonRequired] string Path = "", ulong Size = IvshmemConfig.DefaultSize)
{
    public const ulong DefaultSize = 128UL << 20;
}
