using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.resize-zone</c>; size in bytes.</summary>
public sealed record VmResizeZone([property: JsonRequired] string Id = "", [property: JsonRequired] ulong DesiredRam = 0);
