using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.resize-disk</c>; size in bytes.</summary>
public sealed record VmResizeDisk([property: JsonRequired] string Id = "", [property: JsonRequired] ulong DesiredSize = 0);
