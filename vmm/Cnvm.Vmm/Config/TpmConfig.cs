using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A TPM served by swtpm.</summary>
public sealed record TpmConfig([property: JsonRequired] string Socket = "");
