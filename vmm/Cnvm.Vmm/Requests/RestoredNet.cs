using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>An interface of a snapshot that gets new descriptors.</summary>
/// <param name="NumFds">How many of the request's descriptors are its own, taken in order.</param>
public sealed record RestoredNet([property: JsonRequired] string Id = "", [property: JsonRequired] uint NumFds = 0);
