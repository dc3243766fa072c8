using System.Globalization;
using System.Text.Json;
using Cnvm.Tests;

namespace Cnvm.Guest.Tests;

// The table of moves: ways, modes, work and numbers of vCPUs.
public abstract partial class MigrationTests
{
    /// <summary>A TSC of another frequency than the software processor's own, and than this machine's.</summary>
    private const string OtherFrequency = """{"name":"other-frequency","base":"x86-64-v3","tsc_khz":2345678}""";

    /// <summary>Rows of the tables of moves, for each number of vCPUs.</summary>
    private static readonly string[] Works = ["idle", "memory", "disk", "net", "everything", "everything at another TSC frequency"];

    /// <summary>How a guest gets from one process to the next, one after the other; it ends where it began.</summary>
    private protected virtual IReadOnlyList<Way> Ways => [new($"{Host.Hypervisor} to {Host.Hypervisor}", StaysOnHost: true, g => MoveOnAsync(g, Host))];

    /// <summary>The hypervisors on the host to which a guest that talks goes, one after the other; the last one is that on which it began.</summary>
    private protected virtual IReadOnlyList<string> Hypervisors => [Host.Hypervisor, Host.Hypervisor];

    /// <summary>The other host of <see cref="Ways"/>; its scratch directory is the same on both.</summary>
    protected virtual GuestHost Outside => Host;

    /// <summary>A row for each way to move and each thing to do meanwhile; all of them in the long form.</summary>
    [GuestTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public async Task Guests_move_at_rest_and_at_work(int cpus)
    {
        SkipUnlessQuick();
        Skip.If(cpus != 4 && !Soak.IsOn, "1 and 2 vCPUs are part of the long form: CNVM_SOAK=1");
        foreach (IGrouping<string, MoveMode> modes in Modes(MoveMode.Precopy))
        {
            await MoveAtWorkAsync(cpus, modes.Key, [.. modes.Where(m => Outside.IsRoot || !m.NeedsRoot)]);
        }
    }

    /// <summary>
    /// The same for guests on two parts of a network, which talk to a third party: TCP streams alone, and then everything at once, with a memory
    /// checker, fio, vector registers and clocks that somebody else looks at.
    /// </summary>
    /// <param name="hasOtherFrequency">The guest's TSC does not run as fast as the host's.</param>
    [GuestTheory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(4, false)]
    [InlineData(2, true)]
    public async Task Guests_move_while_they_talk_and_do_everything_else(int cpus, bool hasOtherFrequency)
    {
        SkipUnlessQuick();
        Skip.If((cpus != 2 || hasOtherFrequency) && !Soak.IsOn, "1 and 4 vCPUs and another frequency are part of the long form: CNVM_SOAK=1");
        Skip.If(hasOtherFrequency && !HasSteadyClocks, "the host's processors give guests no other frequency");
        foreach (IGrouping<string, MoveMode> modes in Modes(MoveMode.Postcopy))
        {
            await MoveWhileTalkingAsync(cpus, modes.Key, [.. modes], hasOtherFrequency);
        }
    }

    /// <summary>Those of one guest together.</summary>
    private static IEnumerable<IGrouping<string, MoveMode>> Modes(MoveMode usual) => (Soak.IsOn ? MoveMode.All : [usual]).GroupBy(m => m.MemoryKeys);

    private async Task MoveAtWorkAsync(int cpus, string memoryKeys, IReadOnlyList<MoveMode> modes)
    {
        await using var scratch = new ScratchDirectory(Outside);
        await scratch.MakeFileAsync("disk", $"{DiskMiB}M");
        string[] disks = [$"path={scratch.Path}/disk,image_type=raw", await GuestPrograms.AddDiskAsync(scratch, Outside)];
        GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { Cpus = cpus, CpuKeys = ",profile=x86-64-v2", MemoryKeys = memoryKeys, Disks = disks, Pulses = false });
        try
        {
            await GuestPrograms.UnpackAsync(guest, "vdb");
            string complaints = await guest.AskAsync(Complaints);
            MigrationLoad[] loads = [MigrationLoad.Idle, MigrationLoad.Memory(cpus), MigrationLoad.Disk("/dev/vda")];
            foreach (MigrationLoad load in Soak.IsOn ? loads : loads[..2])
            {
                foreach (MoveMode mode in modes)
                {
                    Mode = mode;
                    foreach (Way way in Ways.Where(w => w.StaysOnHost || !mode.NeedsSameHost))
                    {
                        await load.StartAsync(guest);
                        guest = await GoAsync(guest, way.Move);
                        await load.EndAsync(guest);
                        await AssertAllCpusAsync(guest, cpus);
                        Report(await LineOfAsync(guest, way.Name, load, cpus));
                        Enter(way.Name, load, cpus, LastMove);
                    }
                }
            }

            await AssertNoComplaintAsync(guest, complaints);
            await guest.PowerOffAsync();
        }
        finally
        {
            await guest.DisposeAsync();
        }
    }

    /// <summary>What it does begins before the first way of a mode and ends after the last one, so that connections live over all of them.</summary>
    private async Task MoveWhileTalkingAsync(int cpus, string memoryKeys, IReadOnlyList<MoveMode> modes, bool hasOtherFrequency)
    {
        await using JoinedNetworks networks = await JoinedNetworks.CreateAsync(Host);
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", $"{DiskMiB}M");
        string[] disks =
        [
            $"path={scratch.Path}/disk,image_type=raw", await GuestPrograms.AddDiskAsync(scratch, Host), await GuestPrograms.AddFioAsync(scratch, Host),
        ];
        (await Host.RunAsync($"printf %s '{OtherFrequency}' >{scratch.Path}/profile.json", GuestVm.Patience)).OrThrow();
        string profile = hasOtherFrequency ? $"{scratch.Path}/profile.json" : "x86-64-v3";
        GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup
        {
            Cpus = cpus,
            CpuKeys = $",profile={profile}",
            MemoryKeys = memoryKeys,
            Net = JoinedNetworks.Net,
            NetworkNamespace = networks.Here.Name,
            Disks = disks,
            Pulses = false,
        });
        try
        {
            await GuestPrograms.UnpackAsync(guest, "vdb");
            await GuestPrograms.MountFioAsync(guest, "vdc");
            string complaints = await guest.AskAsync(Complaints);
            foreach (MoveMode mode in modes)
            {
                Mode = mode;
                if (Soak.IsOn && !hasOtherFrequency)
                {
                    guest = await GoOnUnderAsync(guest, new StreamLoad(Host, networks), networks, cpus);
                }

                MigrationLoad everything = new CombinedLoad(
                    hasOtherFrequency ? "everything at another TSC frequency" : "everything", MigrationLoad.Memory(cpus), MigrationLoad.Fio("/dev/vda"), new StreamLoad(Host, networks), new ClockLoad(Host, networks));
                guest = await GoOnUnderAsync(guest, everything, networks, cpus);
            }

            await AssertNoComplaintAsync(guest, complaints);
            await guest.PowerOffAsync();
        }
        finally
        {
            await guest.DisposeAsync();
        }
    }

    /// <summary>The guest goes from hypervisor to hypervisor, and from one part of the network to the other one unless its interface goes along.</summary>
    private async Task<GuestVm> GoOnUnderAsync(GuestVm guest, MigrationLoad load, JoinedNetworks networks, int cpus)
    {
        await using (load)
        {
            await load.StartAsync(guest);
            var lines = new List<string>();
            var moves = new List<(string Way, JsonElement Move)>();
            string from = Host.Hypervisor;
            foreach (string to in Soak.IsOn ? Hypervisors : Hypervisors.Take(1))
            {
                if (!Mode.NeedsSameHost)
                {
                    networks.Turn();
                }

                string url = $"unix:{Host.Scratch}/{GuestHost.UniqueName("there")}";
                GuestHost host = to == Host.Hypervisor ? Host : Host with { Hypervisor = to };
                guest = await GoAsync(guest, g => MoveAsync(g, host, url, url, () => Task.CompletedTask, networks.Here.Name));
                if (Mode.BringsDisks)
                {
                    await RemoveLeftDisksAsync(guest);
                }

                lines.Add(await LineOfAsync(guest, $"{from} to {to}", load, cpus));
                moves.Add(($"{from} to {to}", LastMove));
                from = to;
            }

            string said = await load.EndAsync(guest);
            await AssertAllCpusAsync(guest, cpus);
            lines.ForEach(Report);
            moves.ForEach(m => Enter(m.Way, load, cpus, m.Move));
            Report($"{Mode.Name}, {load.Name}, {cpus} vCPUs: {said}");
            ResultTable.Of("moves-seen", "vCPUs, work").Set(
                RankOf(load, cpus), $"{cpus}, {load.Name}", string.Create(CultureInfo.InvariantCulture, $"{Mode.Name}, {Host.Hypervisor}"), said);
        }

        return guest;
    }

    /// <summary>Nobody needs the files any more in which its disks were before.</summary>
    private async Task RemoveLeftDisksAsync(GuestVm guest)
    {
        JsonElement disks = (await guest.GetAsync("vm.info")).GetProperty("config").GetProperty("disks");
        (await Host.RunAsync("rm " + string.Join(' ', disks.EnumerateArray().Select(d => PathOf(d)[..^1])))).OrThrow();
    }

    private static async Task AssertAllCpusAsync(GuestVm guest, int cpus) =>
        Assert.Equal(cpus.ToString(CultureInfo.InvariantCulture), await guest.AskAsync("nproc"));

    private static int RankOf(MigrationLoad load, int cpus) => (cpus * Works.Length) + Array.IndexOf(Works, load.Name);

    /// <summary>Enters a move that nothing was wrong with into the mode's table of README: the time for which the guest stood still, of all of it.</summary>
    private void Enter(string way, MigrationLoad load, int cpus, JsonElement move)
    {
        ulong downtime = move.GetProperty("downtime_ms").GetUInt64();
        ResultTable.Of($"moves-{Mode.Name.Replace(' ', '-')}", "vCPUs, work", "KVM to KVM", "KVM to soft", "soft to soft", "soft to KVM").Set(
            RankOf(load, cpus),
            $"{cpus}, {load.Name}",
            way.Replace("kvm", "KVM", StringComparison.Ordinal),
            string.Create(CultureInfo.InvariantCulture, $"{downtime} of {move.GetProperty("elapsed_ms")}"),
            (long)downtime);
    }

    /// <summary>What the report says of the last move, after which the guest is here.</summary>
    private async Task<string> LineOfAsync(GuestVm guest, string way, MigrationLoad load, int cpus)
    {
        string faults = Mode == MoveMode.Postcopy ? $", {(await guest.GetAsync("vm.migration")).GetProperty("postcopy_faults")} pages waited for" : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{way}, {Mode.Name}, {load.Name}, {cpus} vCPUs: {LastMove.GetProperty("downtime_ms")} ms of {LastMove.GetProperty("elapsed_ms")} ms, {LastMove.GetProperty("rounds")} rounds{faults}");
    }
}
