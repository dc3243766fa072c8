using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.remove-device</c>.</summary>
public sealed record VmRemoveDevice([property: JsonRequired] string Id = "");
