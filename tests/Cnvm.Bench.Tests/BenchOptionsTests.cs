namespace Cnvm.Bench.Tests;

public sealed class BenchOptionsTests
{
    [Fact]
    public void Everything_is_understood()
    {
        BenchOptions options = BenchOptions.Parse(["--filter", "exit", "--filter", "blk", "--runs", "4", "--json", "f", "--list"])!;
        Assert.Equal(["exit", "blk"], options.Filters);
        Assert.Equal(4, options.Runs);
        Assert.Equal("f", options.JsonFile);
        Assert.True(options.List);
        Assert.True(options.Wants(new("pio-exit-cpu", "ns", "")));
        Assert.False(options.Wants(new("binary-size", "MB", "")));
    }

    [Theory]
    [InlineData("--runs", "0")]
    [InlineData("--runs", "many")]
    [InlineData("--runs")]
    [InlineData("--filter")]
    [InlineData("--fast")]
    [InlineData("exit")]
    public void Nonsense_is_refused(params string[] arguments) => Assert.Throws<FormatException>(() => BenchOptions.Parse(arguments));
}
