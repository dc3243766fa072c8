using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A token bucket.</summary>
/// <param name="Size">Tokens that the bucket holds.</param>
/// <param name="OneTimeBurst">Extra tokens that are never refilled.</param>
/// <param name="RefillTime">Milliseconds in which an empty bucket becomes full.</param>
public sealed record TokenBucketConfig(
    [property: JsonRequired] ulong Size = 0,
    ulong? OneTimeBurst = null,
    [property: JsonRequired] ulong RefillTime = 0);
