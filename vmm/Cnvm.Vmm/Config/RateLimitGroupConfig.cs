using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>A rate limit that several disks share.</summary>
public sealed record RateLimitGroupConfig(
    [property: JsonRequired] string Id = "",
    RateLimiterConfig? RateLimiterConfig = null)
{
    [JsonRequired]
    public RateLimiterConfig RateLimiterConfig { get; init; } = RateLimiterConfig ?? new();
}
