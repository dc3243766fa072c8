namespace Cnvm.Linux.Tests;

/// <summary>Every answer that a kernel can give to UFFDIO_COPY and UFFDIO_ZEROPAGE, given by nobody.</summary>
public sealed class PageFillTests
{
    private const ulong Page = 4096;

    [Fact]
    public void All_at_once_is_all()
    {
        var fill = new PageFill("UFFDIO_COPY", 5 * Page);
        Assert.False(fill.IsDone);
        Assert.False(fill.Take(0, (long)(5 * Page)));
        Assert.True(fill.IsDone);
        Assert.Equal((5 * Page, 0UL), (fill.Done, fill.Left));
    }

    /// <summary>It goes on behind what has been done.</summary>
    [Fact]
    public void A_part_is_gone_on_from()
    {
        var fill = new PageFill("UFFDIO_COPY", 5 * Page);
        Assert.False(fill.Take(Errno.EAGAIN, (long)(2 * Page)));
        Assert.Equal((2 * Page, 3 * Page), (fill.Done, fill.Left));
        Assert.False(fill.Take(Errno.EAGAIN, -Errno.EAGAIN));
        Assert.Equal((2 * Page, 3 * Page), (fill.Done, fill.Left));
        Assert.False(fill.Take(Errno.EAGAIN, long.MaxValue));
        Assert.True(fill.IsDone);
    }

    /// <summary>Who sleeps there is woken, and the next page is tried.</summary>
    [Fact]
    public void A_page_that_is_there_stays_and_wakes()
    {
        var fill = new PageFill("UFFDIO_ZEROPAGE", 3 * Page);
        Assert.False(fill.Take(Errno.EAGAIN, (long)Page));
        Assert.True(fill.Take(Errno.EEXIST, -Errno.EEXIST));
        Assert.Equal((2 * Page, Page), (fill.Done, fill.Left));
        Assert.True(fill.Take(Errno.EEXIST, -Errno.EEXIST));
        Assert.True(fill.IsDone);
    }

    /// <summary>Not for ever, but every step ahead makes the patience new.</summary>
    [Fact]
    public void A_mapping_that_changes_is_waited_out_and_not_for_ever()
    {
        var fill = new PageFill("UFFDIO_COPY", 2 * Page);
        int before = Tries(ref fill);
        Assert.False(fill.IsDone);
        var next = new PageFill("UFFDIO_COPY", 2 * Page);
        for (int i = 0; i < before - 1; i++)
        {
            Assert.False(next.Take(Errno.EAGAIN, 0));
        }

        Assert.False(next.Take(Errno.EAGAIN, (long)Page));
        Assert.Equal(before, Tries(ref next));

        static int Tries(ref PageFill fill)
        {
            for (int tries = 1; tries < 1_000_000; tries++)
            {
                try
                {
                    fill.Take(Errno.EAGAIN, -Errno.EAGAIN);
                }
                catch (LinuxException e)
                {
                    Assert.Equal(Errno.EAGAIN, e.Errno);
                    Assert.Contains("being changed all the time", e.Message, StringComparison.Ordinal);
                    return tries;
                }
            }

            return 0;
        }
    }

    [Theory]
    [InlineData(Errno.ENOMEM, "make room, and it is sent again")]
    [InlineData(Errno.ESRCH, "the process whose memory it is has ended")]
    [InlineData(Errno.ENOENT, "not memory that waits for pages")]
    [InlineData(Errno.EFAULT, "cannot be put in its place")]
    public void Anything_else_ends_it_and_says_why(int errno, string why)
    {
        ulong done = 0;
        LinuxException e = Assert.Throws<LinuxException>(() =>
        {
            var fill = new PageFill("UFFDIO_COPY", 2 * Page);
            fill.Take(Errno.EAGAIN, (long)Page);
            done = fill.Done;
            fill.Take(errno, -errno);
        });
        Assert.Equal((errno, Page), (e.Errno, done));
        Assert.StartsWith("UFFDIO_COPY: ", e.Message, StringComparison.Ordinal);
        Assert.Contains(why, e.Message, StringComparison.Ordinal);
    }
}
