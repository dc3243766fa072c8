using Cnvm.Virtio.RateLimits;

namespace Cnvm.Virtio.Tests.RateLimits;

public sealed class TokenBucketTests
{
    private const long Millisecond = 1_000_000;

    [Fact]
    public void A_full_bucket_gives_its_size_at_once_and_the_rest_with_time()
    {
        TokenBucket bucket = new(new TokenBucketOptions(10, 0, 100), 0);
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(0, bucket.Wait(0));
            bucket.Take(1);
        }

        Assert.Equal(10 * Millisecond, bucket.Wait(0));
        Assert.Equal(1, bucket.Wait((10 * Millisecond) - 1));
        Assert.Equal(0, bucket.Wait(10 * Millisecond));
        bucket.Take(1);
        Assert.Equal(5 * Millisecond, bucket.Wait(15 * Millisecond));

        // However long nobody asks, it never holds more than its size.
        Assert.Equal(0, bucket.Wait(long.MaxValue));
        bucket.Take(10);
        Assert.NotEqual(0, bucket.Wait(long.MaxValue));
    }

    [Fact]
    public void The_burst_is_there_once()
    {
        TokenBucket bucket = new(new TokenBucketOptions(10, 25, 100), 0);
        bucket.Take(35);
        Assert.Equal(10 * Millisecond, bucket.Wait(0));
        Assert.Equal(0, bucket.Wait(1000 * Millisecond));
        bucket.Take(10);
        Assert.Equal(10 * Millisecond, bucket.Wait(1000 * Millisecond));
    }

    [Fact]
    public void A_request_larger_than_the_bucket_is_paid_afterwards()
    {
        TokenBucket bucket = new(new TokenBucketOptions(10, 0, 100), 0);
        bucket.Take(35);
        Assert.Equal(260 * Millisecond, bucket.Wait(0));
        Assert.Equal(0, bucket.Wait(260 * Millisecond));
    }

    [Theory]
    [InlineData(0UL, 1UL)]
    [InlineData(1UL, 0UL)]
    public void Nothing_is_no_limit(ulong size, ulong refill) =>
        Assert.Throws<ArgumentException>(() => new RateLimiter(new TokenBucketOptions(size, 0, refill), null));

    [Fact]
    public void The_largest_numbers_do_no_harm()
    {
        foreach (ulong size in new ulong[] { 1, 3, ulong.MaxValue })
        {
            foreach (ulong refill in new ulong[] { 1, ulong.MaxValue })
            {
                TokenBucket bucket = new(new TokenBucketOptions(size, ulong.MaxValue, refill), long.MinValue);
                bucket.Take(uint.MaxValue);
                foreach (long now in new[] { 0, long.MaxValue })
                {
                    Assert.InRange(bucket.Wait(now), 0, long.MaxValue);
                    bucket.Take(uint.MaxValue);
                }
            }
        }
    }

    /// <summary>Over any time, what was taken is what was earned: no more, and to the token no less, however the calls fall.</summary>
    [Fact]
    public void The_rate_is_exact()
    {
        Random random = new(1);
        for (int round = 0; round < 200; round++)
        {
            ulong size = (ulong)random.Next(1, 10_000);
            ulong refill = (ulong)random.Next(1, 5000);
            TokenBucket bucket = new(new TokenBucketOptions(size, 0, refill), 0);
            long now = 0;
            UInt128 taken = 0;
            uint last = 0;
            for (int i = 0; i < 300; i++)
            {
                long wait = bucket.Wait(now);
                if (wait == 0)
                {
                    last = (uint)random.Next(1, 3 * (int)size);
                    taken += last;
                    bucket.Take(last);
                }

                // Looks in between, of odd lengths, must not lose fractions of tokens.
                now += wait > 1 ? random.NextInt64(1, wait + 1) : random.Next(0, 50);
            }

            UInt128 earned = size + ((UInt128)(ulong)now * size / (refill * (UInt128)Millisecond));
            Assert.True(taken <= earned + last, $"{taken} taken, {earned} earned");
            Assert.True(taken + (2 * (UInt128)size) + last + 1 >= earned, $"{taken} taken, {earned} earned");
        }
    }
}
