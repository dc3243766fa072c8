using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>Limits of bytes and of operations a second. The one type of the contract that refuses unknown keys.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record RateLimiterConfig(TokenBucketConfig? Bandwidth = null, TokenBucketConfig? Ops = null);
