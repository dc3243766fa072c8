namespace Cnvm.Guest.Tests;

/// <summary>Shell commands in the guest, again and again.</summary>
/// <param name="name">As the table of moves names it.</param>
/// <param name="round">Does it once, in a loop with its count in $i; says "bad" when something is wrong. Empty: nothing.</param>
internal sealed class ShellLoad(string name, string round) : MigrationLoad(name)
{
    private string Stem => "/tmp/load-" + Name;

    public override async Task StartAsync(GuestVm guest)
    {
        await guest.AskAsync($"rm -f {Stem}.stop {Stem}.end");
        await guest.TypeAsync(round.Length == 0
            ? $"echo rounds=1 >{Stem}.end"
            : $"(i=0; while [ ! -e {Stem}.stop ] || [ $i -lt 1 ]; do {round}; i=$((i+1)); done >{Stem}.log 2>&1; cat {Stem}.log >{Stem}.sum; echo rounds=$i >>{Stem}.sum; mv {Stem}.sum {Stem}.end) &");
    }

    public override async Task<string> EndAsync(GuestVm guest)
    {
        string end = await guest.AskAsync($"touch {Stem}.stop; while [ ! -e {Stem}.end ]; do usleep 50000; done; cat {Stem}.end");
        Assert.Matches(@"^rounds=[1-9]\d*$", end);
        return "";
    }
}
