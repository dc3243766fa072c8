using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A path that the VMM may still touch once Landlock is on.</summary>
/// <param name="Access"><c>r</c>, <c>w</c> or <c>rw</c>.</param>
public sealed record LandlockConfig([property: JsonRequired] string Path = "", [property: JsonRequired] string Access = "");
