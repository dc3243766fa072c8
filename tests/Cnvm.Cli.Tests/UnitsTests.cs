using Cnvm.Cli.Commands;
using Cnvm.Cli.Output;

namespace Cnvm.Cli.Tests;

/// <summary>What people read and write.</summary>
public sealed class UnitsTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(536870912, "512 MiB")]
    [InlineData(ulong.MaxValue, "16 EiB")]
    public void Sizes(ulong bytes, string text) => Assert.Equal(text, Units.Size(bytes));

    [Theory]
    [InlineData(0.25, "250ms")]
    [InlineData(42, "42s")]
    [InlineData(62, "1m 2s")]
    [InlineData(11520, "3h 12m")]
    [InlineData(180000, "2d 2h")]
    [InlineData(-1, "0ms")]
    public void Durations(double seconds, string text) => Assert.Equal(text, Units.Duration(TimeSpan.FromSeconds(seconds)));

    [Theory]
    [InlineData("500ms", 0.5)]
    [InlineData("30", 30.0)]
    [InlineData("1.5m", 90.0)]
    [InlineData("1h", 3600.0)]
    [InlineData("s", null)]
    [InlineData("-1s", null)]
    [InlineData("1d", null)]
    [InlineData("99999999h", null)]
    public void Durations_are_read(string text, double? seconds) => Assert.Equal(seconds, Units.ParseDuration(text)?.TotalSeconds);

    [Fact]
    public void Columns_are_aligned()
    {
        var table = new Table("NAME", ">N");
        table.Add("a", "10");
        table.Add("longer", "5");
        Assert.Equal("NAME     N\na       10\nlonger   5\n", table.ToString());
    }

    [Theory]
    [InlineData(null, 0x1d)]
    [InlineData("ctrl-]", 0x1d)]
    [InlineData("^]", 0x1d)]
    [InlineData("Ctrl-A", 1)]
    [InlineData("^x", 0x18)]
    [InlineData("none", null)]
    public void Escape_keys(string? text, int? expected) => Assert.Equal(expected, (int?)ConsoleCommand.ParseEscape(text));

    [Theory]
    [InlineData("")]
    [InlineData("]")]
    [InlineData("ctrl-")]
    [InlineData("^1")]
    [InlineData("^ab")]
    public void What_is_no_key_is_refused(string text) => Assert.Equal(2, Assert.Throws<CliException>(() => ConsoleCommand.ParseEscape(text)).ExitCode);
}
