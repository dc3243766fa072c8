namespace Cnvm.Virtio.RateLimits;

/// <summary>A token bucket.</summary>
/// <param name="Size">Tokens that it holds, and at most those of <see cref="long.MaxValue"/>; more than 0.</param>
/// <param name="OneTimeBurst">Tokens that are there at the start on top, and never again.</param>
/// <param name="RefillMilliseconds">Time in which an empty bucket becomes full; more than 0.</param>
public sealed record TokenBucketOptions(ulong Size, ulong OneTimeBurst, ulong RefillMilliseconds);
