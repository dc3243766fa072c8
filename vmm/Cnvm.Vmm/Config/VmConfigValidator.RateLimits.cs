namespace Cnvm.Vmm.Config;

// Token buckets of devices, and those that disks share.
public sealed partial class VmConfigValidator
{
    private void CheckRateLimitGroups()
    {
        var ids = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < (_config.RateLimitGroups?.Count ?? 0); i++)
        {
            RateLimitGroupConfig group = _config.RateLimitGroups![i];
            string field = $"rate_limit_groups[{i}]";
            if (group.Id.Length == 0)
            {
                Add($"{field}.id", "is empty: give a name that disks can refer to");
            }
            else if (!ids.Add(group.Id))
            {
                Conflict($"{field}.id", $"'{group.Id}' is used by an earlier group");
            }

            CheckRateLimiter($"{field}.rate_limiter_config", group.RateLimiterConfig);
        }
    }

    private void CheckRateLimits(string field, DiskConfig disk)
    {
        CheckRateLimiter($"{field}.rate_limiter_config", disk.RateLimiterConfig);
        if (disk.RateLimitGroup is not { } group)
        {
            return;
        }

        if (disk.RateLimiterConfig is not null)
        {
            Add($"{field}.rate_limit_group", "a disk keeps to rate_limiter_config or to a group's limit, not to both");
        }

        if (_config.RateLimitGroups?.Any(g => g.Id == group) is not true)
        {
            Add($"{field}.rate_limit_group", $"there is no group '{group}' in rate_limit_groups");
        }
    }

    private void CheckRateLimiter(string field, RateLimiterConfig? limiter)
    {
        CheckBucket($"{field}.bandwidth", limiter?.Bandwidth);
        CheckBucket($"{field}.ops", limiter?.Ops);
    }

    private void CheckBucket(string field, TokenBucketConfig? bucket)
    {
        if (bucket is { Size: 0 })
        {
            Add($"{field}.size", "is 0, which would let nothing through: leave the limit out or give it a size");
        }

        if (bucket is { RefillTime: 0 })
        {
            Add($"{field}.refill_time", "is 0: give the milliseconds in which the bucket fills");
        }
    }
}
