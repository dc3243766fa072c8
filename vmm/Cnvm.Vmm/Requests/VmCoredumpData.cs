using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.coredump</c>.</summary>
/// <param name="DestinationUrl"><c>file://</c> and the path of the file to make.</param>
public sealed record VmCoredumpData([property: JsonRequired] string DestinationUrl = "");
