using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>An interface of a snapshot that is another one from now on; what is null stays.</summary>
/// <param name="Mac">The address that the device shows; the guest takes it when its driver next looks.</param>
/// <param name="Tap">The host's TAP interface.</param>
/// <param name="Socket">The socket of an interface that is at one: a program such as passt serves one VM.</param>
public sealed record NetOverride([property: JsonRequired] string Id = "", string? Mac = null, string? Tap = null, string? Socket = null);
