using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Soft;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Tests.State;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Tests.Snapshot;

namespace Cnvm.Vmm.Tests.Cpus;

public sealed class GuestContractTests : IDisposable
{
    private const uint Khz = 2_600_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-profile-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_host_runs_what_was_made_on_it() => Assert.Empty(GuestContract.Obstacles(Guest(Table()), Host(Table())));

    [Fact]
    public void Every_obstacle_is_named()
    {
        CpuidTable other = Table(ecx1: 1, ebx7: 0, vendor: 7, bits: 40);
        IReadOnlyList<string> obstacles = GuestContract.Obstacles(Guest(Table()), Host(other) with { TscKhz = Khz + 700, MaxVcpus = 1, PhysicalAddressBits = 40 });
        string[] expected = ["vCPUs: ", "CPU feature aes", "CPU feature avx2", "CPU feature smap", "CPU vendor", "physical address bits", "TSC frequency"];
        foreach (string start in expected)
        {
            Assert.Contains(obstacles, o => o.StartsWith(start, StringComparison.Ordinal));
        }

        Assert.Equal(expected.Length, obstacles.Count);
    }

    [Fact]
    public void A_steady_difference_or_scaling_is_no_obstacle()
    {
        Assert.Empty(GuestContract.Obstacles(Guest(Table()), Host(Table()) with { TscKhz = Khz + 600 }));
        Assert.Empty(GuestContract.Obstacles(Guest(Table()), Host(Table()) with { TscKhz = 1_000_000, TscScaling = true }));
    }

    [Fact]
    public void A_guest_with_a_profile_goes_to_another_vendor() =>
        Assert.Empty(GuestContract.Obstacles(Guest(Table()) with { CpuProfile = "x86-64-v2" }, Host(Table(vendor: 7))));

    [Fact]
    public void A_profile_that_is_made_from_the_hosts_processor_keeps_its_guests_with_the_vendor()
    {
        string path = Path.Combine(_folder, "fleet.json");
        foreach ((string text, string name, bool isNeutral) in new[]
        {
            ("{}", "Host/fleet", false),
            ("""{"base":"Host","name":"own"}""", "Host/own", false),
            ("""{"base":"x86-64-v2","name":"own"}""", "own", true),
        })
        {
            File.WriteAllText(path, text);
            CpuModelProfile profile = CpuProfileSource.Load(new CpusConfig(Profile: path));
            Assert.Equal(name, profile.Name);
            IReadOnlyList<string> obstacles = GuestContract.Obstacles(Guest(Table()) with { CpuProfile = profile.Name }, Host(Table(vendor: 7)));
            Assert.Equal(isNeutral ? [] : [$"CPU vendor: the guest has profile {name} and was shown another vendor's processor"], obstacles);
        }
    }

    /// <summary>What the guest's own programs have saved lies where the guest was shown, and the processor looks where it has it itself.</summary>
    [Fact]
    public void A_host_that_has_an_xsave_component_elsewhere_is_refused()
    {
        CpuidTable With(uint bytes, uint offset) => new([.. Table(), new CpuidEntry { Leaf = 0xd, Subleaf = 5, HasSubleaf = true, Eax = bytes, Ebx = offset }]);
        MachineState guest = Guest(With(64, 832));
        Assert.Empty(GuestContract.Obstacles(guest, Host(With(64, 832))));
        Assert.Equal("XSAVE component 5: the guest was shown 64 bytes at 832, the host has 64 at 1088", Assert.Single(GuestContract.Obstacles(guest, Host(With(64, 1088)))));
        Assert.Single(GuestContract.Obstacles(guest, Host(With(128, 832))));
    }

    [Fact]
    public void Capabilities_survive_their_file()
    {
        HostCapabilities host = HostCapabilities.Of(SoftHypervisor.Create());
        byte[] file = HostCapabilitiesFile.Write(host);
        Assert.Equal(host, HostCapabilitiesFile.Read(file));
        string text = System.Text.Encoding.UTF8.GetString(file);
        Assert.Contains("\"x86-64-v2\"", text, StringComparison.Ordinal);
        Assert.Contains("\"sse4_2\"", text, StringComparison.Ordinal);
        file[^40] ^= 1;
        Assert.Throws<StateFormatException>(() => HostCapabilitiesFile.Read(file));
        Assert.Throws<StateFormatException>(() => HostCapabilitiesFile.Read("[]"u8.ToArray()));
    }

    [Fact]
    public void A_profile_shows_the_same_on_different_hosts_and_names_what_is_missing()
    {
        Assert.True(CpuModelProfiles.TryGet("x86-64-v2", out CpuModelProfile v2));
        CpuidTable soft = SoftHypervisor.Create().SupportedCpuid;
        Assert.Empty(CpuidModel.MissingFor(v2, soft));
        var config = new CpuidConfig { Topology = Cnvm.Arch.Machine.CpuTopology.Flat(1), PhysicalBits = 40, Profile = v2 };
        CpuidTable shown = CpuidModel.Build(soft, config, 0);
        Assert.True(shown.TryGet(1, 0, out CpuidEntry one));
        Assert.Equal(0u, one.Ecx & (1u << 25)); // AES
        Assert.NotEqual(0u, one.Ecx & (1u << 20)); // SSE4.2
        Assert.False(shown.TryGet(0x8000_0021, 0, out _));

        Assert.True(CpuModelProfiles.TryGet("x86-64-v4", out CpuModelProfile v4));
        Assert.Contains(CpuidModel.MissingFor(v4, Table()), f => f.Name == "avx512f");
    }

    /// <summary>A host that lacks a register is told apart from one that says nothing of its registers.</summary>
    [Fact]
    public void A_register_that_the_host_lacks_is_named_once_unless_nothing_depends_on_it()
    {
        const uint Lacking = 0xc001_1029;
        MachineState guest = WithMsrs(
            new MsrValue(0x10, 5), new MsrValue(0x48, 0), new MsrValue(0x1d9, 2), new MsrValue(Lacking, 7) { Policy = MsrPolicy.Offer });
        HostCapabilities host = Host(Table());
        Assert.Empty(GuestContract.Obstacles(guest, host));
        Assert.Empty(GuestContract.Obstacles(guest, host with { Msrs = new MsrSet([0x1d9, 0x10]) }));
        Assert.Equal(
            "MSR 0x1d9: vCPU 0 of the guest has 0x2 in it, test there lacks it",
            Assert.Single(GuestContract.Obstacles(guest, host with { Msrs = new MsrSet([0x10, 0x277]) })));
    }

    /// <summary>A file of a program that did not know of registers is read, and says nothing of them.</summary>
    [Fact]
    public void An_older_description_says_nothing_of_registers()
    {
        HostCapabilities host = Host(Table());
        Assert.Equal(MsrSet.Unknown, HostCapabilitiesFile.Read(HostCapabilitiesFile.Write(host)).Msrs);
        string json = System.Text.Encoding.UTF8.GetString(HostCapabilitiesFile.Write(host with { Msrs = new MsrSet([0x277, 0x1a0]) }));
        Assert.Matches("\"index\": \"0x1a0\",\\s+\"policy\": \"offer\"[^\\]]*\"index\": \"0x277\",\\s+\"policy\": \"preserve\"", json);
    }

    [Fact]
    public void A_profile_file_is_read_and_bad_ones_are_refused_by_field()
    {
        string path = Path.Combine(_folder, "fleet.json");
        File.WriteAllText(path, """
            {"base":"x86-64-v2","tsc_khz":2000000,
             "cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","modifiers":[{"register":"ecx","bitmap":"0b1x_xxxx"}]}],
             "msr_modifiers":[{"addr":"0x1a0","bitmap":"0b01"}]}
            """);
        CpuModelProfile profile = CpuProfileSource.Load(new CpusConfig(Profile: path, Features: new CpuFeatures(Extra: ["aes", "-smap"])));
        Assert.Equal(("fleet", 2_000_000u), (profile.Name, profile.TscKhz));
        Assert.Contains(new CpuidModifier(1, 0, CpuidRegister.Ecx, new TriStateMask(0x20, 0x20)), profile.Cpuid);
        Assert.Contains(new CpuidModifier(1, 0, CpuidRegister.Ecx, new TriStateMask(1u << 25, 1u << 25)), profile.Cpuid);
        Assert.Contains(new CpuidModifier(7, 0, CpuidRegister.Ebx, new TriStateMask(1u << 20, 0)), profile.Cpuid);
        Assert.Equal(new MsrModifier(0x1a0, new TriStateMask(3, 1)), Assert.Single(profile.Msrs));
        foreach ((string text, string field) in new[]
        {
            ("""{"base":"x86-64-v9"}""", "base"),
            ("""{"cpuid_modifiers":[{"leaf":"1","subleaf":"0x0","modifiers":[{"register":"ecx","bitmap":"0b1"}]}]}""", "leaf"),
            ("""{"cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","modifiers":[{"register":"edi","bitmap":"0b1"}]}]}""", "register"),
            ("""{"cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","modifiers":[{"register":"eax","bitmap":"0b2"}]}]}""", "bitmap"),
            ("nothing", path),
        })
        {
            File.WriteAllText(path, text);
            string message = Assert.Throws<MachineBuildException>(() => CpuProfileSource.Load(new CpusConfig(Profile: path))).Message;
            Assert.Contains(field, message, StringComparison.Ordinal);
        }

        Assert.Throws<MachineBuildException>(() => CpuProfileSource.Load(new CpusConfig(Profile: "none")));
    }

    private static HostCapabilities Host(CpuidTable table) => new()
    {
        Hypervisor = "test",
        MaxVcpus = 8,
        PhysicalAddressBits = 48,
        TscScaling = false,
        TscKhz = Khz,
        Cpuid = table,
    };

    private static MachineState WithMsrs(params MsrValue[] msrs)
    {
        MachineState guest = Guest(Table());
        return guest with { Vcpus = [.. guest.Vcpus.Select(v => v with { State = v.State with { Msrs = [.. msrs] } })] };
    }

    private static MachineState Guest(CpuidTable shown)
    {
        MachineState state = SampleState.Make();
        VcpuState vcpu = new StateFiller().Fill<VcpuState>() with { Cpuid = shown, TscKhz = Khz };
        return state with { CpuProfile = CpusConfig.HostProfile, Vcpus = [.. state.Vcpus.Select((v, i) => v with { Index = (uint)i, State = vcpu })] };
    }

    /// <summary>By default: SSE3 and AES; AVX2 and SMAP; 46 address bits.</summary>
    private static CpuidTable Table(uint ecx1 = 1 | (1u << 25), uint ebx7 = (1u << 5) | (1u << 20), uint vendor = 1, uint bits = 46) => new(
    [
        new CpuidEntry { Leaf = 0, Eax = 0xd, Ebx = vendor },
        // The model computes OSXSAVE, x2APIC and the hypervisor bit: no host needs to have them.
        new CpuidEntry { Leaf = 1, Ecx = ecx1 | (vendor == 1 ? (1u << 21) | (1u << 27) | (1u << 31) : 0) },
        new CpuidEntry { Leaf = 7, HasSubleaf = true, Ebx = ebx7 },
        new CpuidEntry { Leaf = 0x8000_0008, Eax = bits },
    ]);
}
