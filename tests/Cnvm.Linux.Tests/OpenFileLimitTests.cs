namespace Cnvm.Linux.Tests;

public sealed class OpenFileLimitTests
{
    [Fact]
    public void The_soft_limit_becomes_the_hard_one()
    {
        OpenFileLimit.Raise();
        string[] words = File.ReadLines("/proc/self/limits").Single(l => l.StartsWith("Max open files", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(words[4], words[3]);
    }
}
