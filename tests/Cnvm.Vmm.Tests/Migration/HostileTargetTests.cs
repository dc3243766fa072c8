using Cnvm.Linux;
using Cnvm.Vmm.Migration;
using Xunit.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A source bears whatever a target says, and lets the guest go on only if it has not been given away, or has been given back.</summary>
public sealed class HostileTargetTests(ITestOutputHelper output)
{
    private const int Seeds = 30;

    [Fact]
    public void The_guest_goes_on_only_where_it_cannot_run_elsewhere()
    {
        var ends = new Dictionary<MigrationPhase, int>();
        int cases = FuzzSeeds.Run(Seeds, seed =>
        {
            var random = new Random(seed);
            bool isLate = random.Next(4) != 0 && Userfaultfd.WhyNot() is null;
            using var move = new Move
            {
                Postcopy = isLate ? (int)PostcopyUse.AfterTimeout : 0,
                Connections = isLate ? 1 : random.Next(1, 4),
                Patience = TimeSpan.FromMilliseconds(500),
                AskingTime = TimeSpan.FromMilliseconds(300),
            };
            MigrationPhase end = new HostileTarget(move, random).Run();
            ends[end] = ends.GetValueOrDefault(end) + 1;
        });
        output.WriteLine($"{cases} hostile targets: {string.Join(", ", ends.Select(e => $"{e.Value} {e.Key}"))}");
        Assert.NotEqual(0, ends.GetValueOrDefault(MigrationPhase.Failed));
        Assert.NotEqual(0, ends.GetValueOrDefault(MigrationPhase.Completed));
    }
}
