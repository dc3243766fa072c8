using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A file that a fw_cfg device would offer: the content of one of the host's, or text.</summary>
public sealed record FwCfgItem([property: JsonRequired] string Name = "", string? File = null, string? String = null);
