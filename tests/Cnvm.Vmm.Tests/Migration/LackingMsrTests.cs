using System.Text;
using Cnvm.Api;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Tests.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A target whose hypervisor has not all registers that the guest has something in.</summary>
public sealed class LackingMsrTests : IDisposable
{
    // IA32_PAT, which holds something from the reset on (SDM vol. 3 §12.12.4).
    private const uint Pat = 0x277;
    private const string Obstacle = "MSR 0x277: vCPU 0 of the guest has 0x7040600070406 in it, soft there lacks it";
    private readonly SnapshotService _source = new();
    private readonly SnapshotService _target = new();

    private string Url => $"unix:{_target.File("move")}";

    public void Dispose()
    {
        _source.Dispose();
        _target.Dispose();
    }

    [SkippableFact]
    public void It_refuses_by_name_before_the_guest_stops_and_the_source_runs_on()
    {
        StartRunning();
        Receive();
        _source.OnVmm(vmm => vmm.SendMigration(new SendMigrationData(Url)));
        Assert.True(SpinWait.SpinUntil(() => Moved().Phase == MigrationPhase.Failed, TimeSpan.FromSeconds(60)), Moved().ToString());
        MigrationInfo info = Moved();
        Assert.Equal(("the target refuses: " + Obstacle, GuestPlace.Here, 0u), (info.Error, info.Guest, info.Rounds));
        Assert.Null(info.DowntimeMs);
        _source.OnVmm(vmm => Assert.Equal(VmState.Running, vmm.Info().State));
        WaitForRound(_source.Vmm.Machine(), Round(_source.Vmm.Machine()) + 2);
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _target.Vmm.Info()).Kind);
    }

    /// <summary>An older source says nothing of registers: what it offers is looked at otherwise, and taken.</summary>
    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Only_a_source_that_says_what_it_has_is_refused(bool says)
    {
        StartRunning();
        Receive();
        MigrationOffer offer = Offer();
        Assert.Contains(offer.Msrs!.Msrs, m => m is { Vcpu: 0, Index: Pat });
        using (RawLink link = RawLink.To(_target.File("move")))
        {
            var hello = new MigrationHello
            {
                Lowest = MigrationWire.Version, Highest = MigrationWire.Version, Features = 0, Session = Move.Session, IsQuestion = false, Producer = "older",
            };
            link.Say(FrameType.Hello, StateWriter.Write(hello, MigrationHello.Describe));
            Assert.True(link.HearMagic() && link.HearUntil(FrameType.Welcome));
            link.Say(FrameType.Offer, StateWriter.Write(says ? offer : offer with { Msrs = null }, MigrationOffer.Describe));
            Assert.True(link.Hear());
            Assert.Equal(says ? (FrameType.Failed, Obstacle) : (FrameType.Accept, ""), (link.Heard.Type, Encoding.UTF8.GetString(link.Heard.Payload)));
        }

        Assert.True(SpinWait.SpinUntil(() => _target.Vmm.Migration().Phase == MigrationPhase.Failed, TimeSpan.FromSeconds(60)));
    }

    /// <summary>A target that has never heard of the list reads everything else of such an offer.</summary>
    [SkippableFact]
    public void An_older_target_passes_over_the_list()
    {
        StartRunning();
        MigrationOffer offer = Offer();
        OlderOffer read = StateReader.Read<OlderOffer>(StateWriter.Write(offer, MigrationOffer.Describe), OlderOffer.Describe);
        Assert.Equal((offer.Machine, offer.Hypervisor, 1), (read.Machine, read.Hypervisor, read.Ranges));
    }

    [Fact]
    public void More_registers_than_a_hypervisor_can_have_are_refused()
    {
        HeldMsr[] many = [.. Enumerable.Range(1, 4097).Select(i => new HeldMsr(0, (uint)i, 1))];
        Assert.Equal(4096, StateReader.Read<MsrOffers>(StateWriter.Write(new MsrOffers(many[1..]), MsrOffers.Describe), MsrOffers.Describe).Msrs.Count);
        StateFormatException e = Assert.Throws<StateFormatException>(
            () => StateReader.Read<MsrOffers>(StateWriter.Write(new MsrOffers(many), MsrOffers.Describe), MsrOffers.Describe));
        Assert.Contains("4097 MSRs", e.Message, StringComparison.Ordinal);
    }

    private void StartRunning()
    {
        _source.StartPaused();
        _source.OnVmm(vmm => vmm.Resume());
    }

    private void Receive()
    {
        _target.Host.Lacking = Pat;
        _target.OnVmm(vmm => vmm.ReceiveMigration(new ReceiveMigrationData(Url), [], static _ => { }));
    }

    private MigrationInfo Moved() => _source.Vmm.Migration();

    /// <summary>What the source would offer.</summary>
    private MigrationOffer Offer()
    {
        MigrationOffer? offer = null;
        _source.OnVmm(vmm =>
        {
            VirtualMachine machine = vmm.Machine();
            offer = new MigrationOffer
            {
                Config = new VmConfigCodec().Write(vmm.Info().Config),
                Machine = machine.ProfileName,
                Guest = machine.Promise(_source.Host),
                Memory = [.. machine.Ram.Plan.Select(p => new MigrationRange(p.Gpa, p.Size, ""))],
                Hypervisor = "soft",
                Msrs = new MsrOffers(machine.HeldMsrs()),
            };
        });
        return offer!;
    }

    /// <summary>The offer as it was before it named registers.</summary>
    private sealed record OlderOffer(string Machine, string Hypervisor, int Ranges)
    {
        public static OlderOffer Describe(StateVisitor v, OlderOffer? o)
        {
            v.Bytes(1, "config", null);
            string machine = v.Text(2, "machine", o?.Machine);
            v.Record<Promise>(3, "guest", null, Promise.Describe);
            int ranges = v.List<Range>(4, "memory", null, Range.Describe).Length;
            return new OlderOffer(machine, v.Text(5, "hypervisor", o?.Hypervisor), ranges);
        }
    }

    private sealed record Promise(uint Vcpus)
    {
        public static Promise Describe(StateVisitor v, Promise? p)
        {
            uint vcpus = v.U32(1, "vcpus", p?.Vcpus);
            VcpuElements.Cpuid(v, 2, null);
            v.Text(3, "cpu_profile", null);
            v.U32(4, "tsc_khz", null);
            return new Promise(vcpus);
        }
    }

    private sealed record Range(ulong Gpa)
    {
        public static Range Describe(StateVisitor v, Range? r)
        {
            ulong gpa = v.U64(1, "gpa", r?.Gpa);
            v.U64(2, "size", null);
            v.Text(3, "zone", null);
            return new Range(gpa);
        }
    }
}
