using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>What a profile says is what the guest's processor is, and stays so wherever it goes on.</summary>
public sealed class ProfileTests : IDisposable
{
    private const uint MiscEnable = 0x1a0;
    private const uint Sse3 = 1;
    private const uint Movbe = 1 << 22;
    private readonly SnapshotService _service = new();

    public void Dispose() => _service.Dispose();

    [SkippableFact]
    public void A_profile_file_masks_cpuid_and_msrs_for_good()
    {
        ulong usual = Usual();
        string profile = _service.File("fleet.json");
        File.WriteAllText(profile, """
            {"name":"fleet","base":"x86-64-v3","tsc_khz":1234567,
             "cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","modifiers":[{"register":"ecx","bitmap":"0b0xx_xxxx_xxxx_xxxx_xxxx_xxxx"}]}],
             "msr_modifiers":[{"addr":"0x1a0","bitmap":"0b1x0xx"}]}
            """);
        _service.StartPaused(c => c with { Cpus = new CpusConfig(Profile: profile, Features: new CpuFeatures(Extra: ["-sse3"])) });
        string folder = _service.Take("one");
        AssertShown(SnapshotFolder.ReadState(folder));

        // The file is of no use to a restore.
        File.Delete(profile);
        _service.Vmm.Delete();
        _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
        _service.GoesOn();
        AssertShown(SnapshotFolder.ReadState(_service.Take("two")));

        void AssertShown(MachineState state)
        {
            VcpuState vcpu = state.Vcpus[0].State;
            Assert.Equal(("fleet", 1_234_567u), (state.CpuProfile, vcpu.TscKhz));
            Assert.True(vcpu.Cpuid.TryGet(1, 0, out CpuidEntry one));
            Assert.Equal(0u, one.Ecx & (Sse3 | Movbe));
            Assert.True(vcpu.Cpuid.TryGet(7, 0, out CpuidEntry seven));
            Assert.NotEqual(0u, seven.Ebx & (1 << 5));
            Assert.Equal((usual | 0x10) & ~4ul, vcpu.Msrs.Single(m => m.Index == MiscEnable).Value);
        }
    }

    [SkippableFact]
    public void A_frequency_of_its_own_is_what_cpuid_says()
    {
        string profile = _service.File("slow.json");
        File.WriteAllText(profile, """{"name":"slow","tsc_khz":1234567}""");
        _service.StartPaused(c => c with { Cpus = new CpusConfig(Profile: profile) });
        Assert.Equal(1_234_567u, _service.Vmm.Machine().Promise(_service.Host).TscKhz);
        VcpuState vcpu = SnapshotFolder.ReadState(_service.Take("one")).Vcpus[0].State;
        Assert.True(vcpu.Cpuid.TryGet(0x4000_0010, 0, out CpuidEntry frequencies));
        Assert.Equal((1_234_567u, 1_234_567u), (vcpu.TscKhz, frequencies.Eax));
    }

    /// <summary>Each host measures a frequency of its own; the differences must not add up from one to the next.</summary>
    [SkippableFact]
    public void What_hosts_on_the_way_have_measured_does_not_change_the_frequency_that_was_promised()
    {
        _service.StartPaused();
        string folder = _service.Take("first");
        uint promised = SnapshotFolder.ReadState(folder).Vcpus[0].State.TscKhz;
        Assert.NotEqual(0u, promised);
        foreach (string next in (string[])["second", "third"])
        {
            _service.Vmm.Delete();
            _service.Host.FasterKhz += 3;
            _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
            _service.GoesOn();
            Assert.Equal(promised, _service.Vmm.Machine().Promise(_service.Host).TscKhz);
            folder = _service.Take(next);
            Assert.Equal(promised, SnapshotFolder.ReadState(folder).Vcpus[0].State.TscKhz);
        }
    }

    /// <summary>The register without a profile.</summary>
    private ulong Usual()
    {
        _service.StartPaused();
        string folder = _service.Take("usual");
        _service.Vmm.Delete();
        return SnapshotFolder.ReadState(folder).Vcpus[0].State.Msrs.Single(m => m.Index == MiscEnable).Value;
    }
}
