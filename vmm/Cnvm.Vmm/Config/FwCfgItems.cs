using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The files that a fw_cfg device would offer.</summary>
public sealed record FwCfgItems(IReadOnlyList<FwCfgItem>? ItemList = null)
{
    [JsonRequired]
    public IReadOnlyList<FwCfgItem> ItemList { get; init; } = ItemList ?? [];
}
