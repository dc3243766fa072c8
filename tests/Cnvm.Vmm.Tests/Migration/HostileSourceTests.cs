using Cnvm.Linux;
using Xunit.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A target bears whatever a source says while pages are missing, and whoever else knocks.</summary>
public sealed class HostileSourceTests(ITestOutputHelper output)
{
    private const int Seeds = 20;

    [SkippableFact]
    public void No_page_comes_twice_and_the_true_source_brings_the_rest()
    {
        Skip.If(Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        int ran = 0;
        int cases = FuzzSeeds.Run(Seeds, seed =>
        {
            using var move = new Move();
            ran += new HostileSource(move, new Random(seed)).Run() ? 1 : 0;
        });
        output.WriteLine($"{cases} hostile sources, {ran} of their guests ran");
        Assert.InRange(ran, cases / 4, cases);
    }

    [Fact]
    public void Strangers_change_nothing_and_what_does_not_belong_on_a_connection_ends_it()
    {
        int ran = 0;
        int cases = FuzzSeeds.Run(Seeds, seed =>
        {
            using var move = new Move();
            var random = new Random(seed);
            for (ulong page = 0; page < 768; page++)
            {
                // One byte all over.
                move.Departure.Memory.GetSpan(page < 512 ? page << 12 : 0x100_0000 + ((page - 512) << 12), 4096).Fill((byte)random.Next(4));
            }

            ran += new HostileJoins(move, random).Run() ? 1 : 0;
        });
        output.WriteLine($"{cases} hostile sources with several connections, {ran} of their guests ran");
        Assert.InRange(ran, cases / 4, cases - 1);
    }
}
