using System.Text;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Machine;
using Xunit;

namespace Cnvm.Arch.Tests.Cpuid;

public sealed class CpuidModelTests
{
    private const uint KvmSignatureLeaf = 0x4000_0000;

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(2, 1, 1)]
    [InlineData(8, 1, 1)]
    [InlineData(64, 1, 1)]
    [InlineData(300, 1, 1)]
    [InlineData(8, 2, 1)]
    [InlineData(12, 2, 2)]
    [InlineData(300, 2, 3)]
    public void Every_vcpu_finds_its_place(int vcpus, int threads, int packages)
    {
        var topology = CpuTopology.Create(threads, vcpus / threads / packages, 1, packages, vcpus);
        var ids = new HashSet<uint>();
        var first = CpuidModel.Build(Intel(), new CpuidConfig { Topology = topology, PhysicalBits = 40 }, 0);
        for (var i = 0; i < vcpus; i++)
        {
            var table = CpuidModel.Build(Intel(), new CpuidConfig { Topology = topology, PhysicalBits = 40 }, i);
            Assert.Equal(table, CpuidModel.ForVcpu(first, topology, i));
            Assert.Equal(first, CpuidModel.ForVcpu(table, topology, 0));
            var id = topology.ApicIdOf(i);
            Assert.True(ids.Add(id));
            Assert.True(id >= (uint)i);

            var features = Get(table, 1);
            Assert.Equal(id & 0xFF, features.Ebx >> 24);
            Assert.Equal(0x800u, features.Ebx & 0xFFFF);
            var perPackage = vcpus / packages;
            Assert.Equal(perPackage > 1, (features.Edx & (1u << 28)) != 0);
            Assert.InRange((features.Ebx >> 16) & 0xFF, (uint)Math.Min(perPackage, 255), 255u);

            var thread = Get(table, 0xB, 0);
            var core = Get(table, 0xB, 1);
            Assert.Equal((uint)threads, thread.Ebx);
            Assert.Equal(0x100u, thread.Ecx);
            Assert.Equal((uint)perPackage, core.Ebx);
            Assert.Equal(0x201u, core.Ecx);
            Assert.Equal((uint)(i / perPackage), id >> (int)core.Eax);
            Assert.Equal((uint)(i % threads), id & ((1u << (int)thread.Eax) - 1));
            Assert.All(new uint[] { 0, 1, 2 }, level => Assert.Equal(id, Get(table, 0xB, level).Edx));
            Assert.Equal(0x002u, Get(table, 0xB, 2).Ecx);
            Assert.False(table.TryGet(0x1F, 0, out _));
        }
    }

    [Fact]
    public void Dies_appear_in_leaf_1f()
    {
        var topology = CpuTopology.Create(2, 3, 2, 2, 24);
        var table = CpuidModel.Build(Intel(), new CpuidConfig { Topology = topology, PhysicalBits = 40 }, 23);

        Assert.Equal(0b1_1_10_1u, topology.ApicIdOf(23));
        Assert.Equal((1u, 2u, 0x100u), Level(table, 0));
        Assert.Equal((3u, 6u, 0x201u), Level(table, 1));
        Assert.Equal((4u, 12u, 0x502u), Level(table, 2));
        Assert.Equal((0u, 0u, 0x003u), Level(table, 3));
        Assert.True(Get(table, 0).Eax >= 0x1F);

        static (uint Eax, uint Ebx, uint Ecx) Level(CpuidTable table, uint level)
        {
            var entry = Get(table, 0x1F, level);
            return (entry.Eax, entry.Ebx, entry.Ecx);
        }
    }

    [Fact]
    public void Topologies_that_do_not_add_up_are_refused()
    {
        Assert.Contains("one of 2 vCPUs", Refuse(() => CpuTopology.Create(1, 2, 1, 1, 4)), StringComparison.Ordinal);
        Refuse(() => CpuTopology.Create(0, 2, 1, 1, 2));
        Refuse(() => CpuTopology.Create(-1, -2, 1, 1, 2));
        Refuse(() => CpuTopology.Flat(0));
        Refuse(() => CpuTopology.Flat(1025));
        Refuse(() => CpuTopology.Create(1024, 1024, 1024, 1024, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => CpuTopology.Flat(2).ApicIdOf(2));

        static string Refuse(Action action) => Assert.Throws<MachineLayoutException>(action).Message;
    }

    [Fact]
    public void Caches_are_shared_as_the_topology_says()
    {
        var topology = CpuTopology.Create(2, 4, 1, 1, 8);
        var intel = CpuidModel.Build(Intel(), new CpuidConfig { Topology = topology, PhysicalBits = 40 }, 0);
        Assert.Equal((1u, 3u), Sharing(Get(intel, 4, 0)));
        Assert.Equal((1u, 3u), Sharing(Get(intel, 4, 2)));
        Assert.Equal((7u, 3u), Sharing(Get(intel, 4, 3)));
        Assert.Equal(0u, Get(intel, 4, 4).Eax);
        Assert.Equal(0x121u, Get(intel, 4, 0).Eax & 0x3FFF);

        var amd = CpuidModel.Build(Amd(), new CpuidConfig { Topology = topology, PhysicalBits = 40 }, 0);
        Assert.Equal((1u, 0u), Sharing(Get(amd, 0x8000_001D, 0)));
        Assert.Equal((7u, 0u), Sharing(Get(amd, 0x8000_001D, 1)));

        static (uint Threads, uint Cores) Sharing(CpuidEntry entry) => ((entry.Eax >> 14) & 0xFFF, entry.Eax >> 26);
    }

    [Fact]
    public void Amd_topology_leaves()
    {
        var topology = CpuTopology.Create(2, 4, 2, 2, 32);
        var table = CpuidModel.Build(Amd(), new CpuidConfig { Topology = topology, PhysicalBits = 48 }, 31);

        var sizes = Get(table, 0x8000_0008);
        Assert.Equal(0x3030u, sizes.Eax);
        Assert.Equal(15u | (4u << 12), sizes.Ecx);
        var unit = Get(table, 0x8000_001E);
        Assert.Equal(31u, unit.Eax);
        Assert.Equal(7u | (1u << 8), unit.Ebx);
        Assert.Equal(3u | (1u << 8), unit.Ecx);
        Assert.NotEqual(0u, Get(table, 0x8000_0001).Ecx & 2);
        Assert.False(table.TryGet(0x8000_0026, 0, out _));
    }

    [Fact]
    public void Features_follow_the_configuration()
    {
        var plain = new CpuidConfig { Topology = CpuTopology.Flat(1), PhysicalBits = 40 };
        var ecx = Get(CpuidModel.Build(Intel(), plain, 0), 1).Ecx;
        Assert.Equal(1u << 31, ecx & (1u << 31));
        Assert.Equal(1u << 24, ecx & (1u << 24));
        Assert.Equal(1u << 21, ecx & (1u << 21));
        Assert.Equal(0u, ecx & (1u << 5));
        Assert.Equal(0u, ecx & (1u << 27));
        Assert.Equal(0u, ecx & (1u << 15));

        ecx = Get(CpuidModel.Build(Intel(), plain with { Nested = true, X2Apic = false, TscDeadline = false, Pmu = true }, 0), 1).Ecx;
        Assert.Equal(1u << 5, ecx & (1u << 5));
        Assert.Equal(1u << 15, ecx & (1u << 15));
        Assert.Equal(0u, ecx & (1u << 21));
        Assert.Equal(0u, ecx & (1u << 24));

        Assert.False(CpuidModel.Build(Amd(), plain, 0).TryGet(0x8000_000A, 0, out _));
        Assert.Equal(0u, Get(CpuidModel.Build(Amd(), plain, 0), 0x8000_0001).Ecx & 4);
        var nested = CpuidModel.Build(Amd(), plain with { Nested = true }, 0);
        Assert.Equal(4u, Get(nested, 0x8000_0001).Ecx & 4);
        Assert.True(nested.TryGet(0x8000_000A, 0, out _));
    }

    [Fact]
    public void Performance_counters_are_hidden_unless_wanted()
    {
        var config = new CpuidConfig { Topology = CpuTopology.Flat(1), PhysicalBits = 40 };
        var hidden = Get(CpuidModel.Build(Intel(), config, 0), 0xA);
        Assert.Equal((0u, 0u, 0u, 0u), (hidden.Eax, hidden.Ebx, hidden.Ecx, hidden.Edx));
        Assert.Equal(0x0730_0402u, Get(CpuidModel.Build(Intel(), config with { Pmu = true }, 0), 0xA).Eax);
        Assert.Equal(0u, Get(CpuidModel.Build(Amd(), config, 0), 0x8000_0001).Ecx & (1u << 23));
        Assert.False(CpuidModel.Build(Amd(), config, 0).TryGet(0x8000_0022, 0, out _));
    }

    [Fact]
    public void Hypervisor_leaves_are_kept()
    {
        var table = CpuidModel.Build(Intel(), new CpuidConfig { Topology = CpuTopology.Flat(2), PhysicalBits = 40 }, 1);
        Assert.Equal(Get(Intel(), KvmSignatureLeaf), Get(table, KvmSignatureLeaf));
        Assert.Equal(Get(Intel(), KvmSignatureLeaf + 1), Get(table, KvmSignatureLeaf + 1));
    }

    [Fact]
    public void Physical_bits_are_the_lesser_of_host_and_limit()
    {
        Assert.Equal(46, CpuidModel.PhysicalBits(Intel(), 46));
        Assert.Equal(46, CpuidModel.PhysicalBits(Intel(), 52));
        Assert.Equal(40, CpuidModel.PhysicalBits(Intel(), 40));
        Assert.Equal(36, CpuidModel.PhysicalBits(new CpuidTable([]), 46));

        var table = CpuidModel.Build(Intel(), new CpuidConfig { Topology = CpuTopology.Flat(4), PhysicalBits = 40 }, 0);
        Assert.Equal(0x3028u, Get(table, 0x8000_0008).Eax);
        Assert.Equal(0u, Get(table, 0x8000_0008).Ecx);
    }

    [Fact]
    public void Brand_string_spans_three_leaves()
    {
        var config = new CpuidConfig { Topology = CpuTopology.Flat(1), PhysicalBits = 40, BrandString = "cnvm processor 1" };
        var text = new StringBuilder();
        var table = CpuidModel.Build(Intel(), config, 0);
        for (uint leaf = 0x8000_0002; leaf <= 0x8000_0004; leaf++)
        {
            var entry = Get(table, leaf);
            foreach (var register in new[] { entry.Eax, entry.Ebx, entry.Ecx, entry.Edx })
            {
                text.Append(Encoding.ASCII.GetString(BitConverter.GetBytes(register)));
            }
        }

        Assert.Equal("cnvm processor 1", text.ToString().TrimEnd('\0'));
        Assert.Throws<MachineLayoutException>(() => CpuidModel.Build(Intel(), config with { BrandString = new string('x', 48) }, 0));
        Assert.Throws<MachineLayoutException>(() => CpuidModel.Build(Intel(), config with { BrandString = "a\nb" }, 0));
    }

    [Fact]
    public void State_components_go_with_their_features()
    {
        var config = new CpuidConfig { Topology = CpuTopology.Flat(1), PhysicalBits = 40 };

        // AMX is not shown by default: its components, and their 8 KiB, go.
        var table = CpuidModel.Build(Intel(), config, 0);
        Assert.Equal(0x2E7u, Get(table, 0xD, 0).Eax);
        Assert.Equal(2696u, Get(table, 0xD, 0).Ecx);
        Assert.Equal(2696u, Get(table, 0xD, 0).Ebx);
        Assert.False(table.TryGet(0xD, 18, out _));
        Assert.True(table.TryGet(0xD, 9, out _));
        Assert.False(table.TryGet(0x1D, 0, out _));

        var amx = CpuidModel.Build(Intel(), config with { Amx = true }, 0);
        Assert.Equal(0x6_02E7u, Get(amx, 0xD, 0).Eax);
        Assert.Equal(11008u, Get(amx, 0xD, 0).Ecx);
        Assert.True(amx.TryGet(0x1D, 0, out _));

        CpuidMask[] masks = [new CpuidMask { Leaf = 1, Ecx = 1u << 28 }, new CpuidMask { Leaf = 7, Ecx = 8 }];
        var noAvx = CpuidModel.Build(Intel(), config with { Masks = masks }, 0);
        Assert.Equal(3u, Get(noAvx, 0xD, 0).Eax);
        Assert.Equal(576u, Get(noAvx, 0xD, 0).Ecx);
        Assert.True(noAvx.TryGet(0xD, 1, out _));

        masks = [new CpuidMask { Leaf = 1, Ecx = 1u << 26 }];
        Assert.False(CpuidModel.Build(Intel(), config with { Masks = masks }, 0).TryGet(0xD, 0, out _));
    }

    [Fact]
    public void Masks_clear_what_they_name_and_nothing_else()
    {
        var config = new CpuidConfig { Topology = CpuTopology.Flat(1), PhysicalBits = 40 };
        var before = Get(CpuidModel.Build(Intel(), config, 0), 7);
        CpuidMask[] masks = [new CpuidMask { Leaf = 7, Ebx = 1u << 5 }, new CpuidMask { Leaf = 0x99 }];
        var after = Get(CpuidModel.Build(Intel(), config with { Masks = masks }, 0), 7);

        Assert.NotEqual(0u, before.Ebx & (1u << 5));
        Assert.Equal(before with { Ebx = before.Ebx & ~(1u << 5) }, after);
        Assert.Equal(0u, before.Ebx & 4);
    }

    [Fact]
    public void The_same_input_gives_the_same_table_and_leaves_it_alone()
    {
        var supported = Intel();
        var config = new CpuidConfig { Topology = CpuTopology.Flat(4), PhysicalBits = 40 };
        Assert.Equal(CpuidModel.Build(supported, config, 2), CpuidModel.Build(supported, config, 2));
        Assert.Equal(Intel(), supported);
        Assert.NotEqual(CpuidModel.Build(supported, config, 2), CpuidModel.Build(supported, config, 3));
    }

    [Fact]
    public void Many_vcpus_need_x2apic()
    {
        var config = new CpuidConfig { Topology = CpuTopology.Flat(300), PhysicalBits = 40, X2Apic = false };
        Assert.Throws<MachineLayoutException>(() => CpuidModel.Build(Intel(), config, 0));
        CpuidModel.Build(Intel(), config with { Topology = CpuTopology.Flat(254) }, 0);
    }

    private static CpuidEntry Get(CpuidTable table, uint leaf, uint subleaf = 0) =>
        table.TryGet(leaf, subleaf, out var entry) ? entry : throw new InvalidOperationException($"leaf {leaf:x}/{subleaf} is missing");

    /// <summary>An Intel server with AVX-512, PKU and AMX, as KVM reports it.</summary>
    private static CpuidTable Intel() => new(
    [
        Leaf(0, 0x20, 0x756E_6547, 0x6C65_746E, 0x4965_6E69),
        Leaf(1, 0x000C_06F2, 0x7B20_0800, 0xFFFA_3223 | (1u << 5) | (1u << 15) | (1u << 27), 0x0F8B_FBFF),
        Sub(4, 0, 0xFC00_4121, 0x02C0_003F, 0x3F, 0),
        Sub(4, 1, 0xFC00_4122, 0x01C0_003F, 0x3F, 0),
        Sub(4, 2, 0xFC00_4143, 0x03C0_003F, 0x7FF, 0),
        Sub(4, 3, 0xFC07_C163, 0x0380_003F, 0x1_BFFF, 4),
        Sub(4, 4, 0, 0, 0, 0),
        Sub(7, 0, 2, 0xF1BF_27EB | (1u << 2) | (1u << 5), 0x1B41_5F5E, 0xFFC1_4412),
        Sub(7, 1, 0x1C30, 0, 0, 0),
        Leaf(0xA, 0x0730_0402, 0, 0, 0x603),
        Sub(0xB, 0, 1, 2, 0x100, 0x55),
        Sub(0xB, 1, 7, 96, 0x201, 0x55),
        Sub(0xD, 0, 0x6_02E7, 11008, 11008, 0),
        Sub(0xD, 1, 0x1F, 11008, 0x1800, 0),
        Sub(0xD, 2, 256, 576, 0, 0),
        Sub(0xD, 5, 64, 1088, 0, 0),
        Sub(0xD, 6, 512, 1152, 0, 0),
        Sub(0xD, 7, 1024, 1664, 0, 0),
        Sub(0xD, 9, 8, 2688, 0, 0),
        Sub(0xD, 17, 64, 2752, 2, 0),
        Sub(0xD, 18, 8192, 2816, 6, 0),
        Sub(0x12, 0, 0, 0, 0, 0x241F),
        Sub(0x1D, 0, 1, 0, 0, 0),
        Sub(0x1E, 0, 0, 0x4010, 0, 0),
        Sub(0x1F, 0, 1, 2, 0x100, 0x55),
        Leaf(KvmSignatureLeaf, 0x4000_0001, 0x4B4D_564B, 0x564B_4D56, 0x4D),
        Leaf(KvmSignatureLeaf + 1, 0x0100_7EFB, 0, 0, 0),
        Leaf(0x8000_0000, 0x8000_0008, 0, 0, 0),
        Leaf(0x8000_0001, 0, 0, 0x121, 0x2C10_0800),
        Leaf(0x8000_0008, 0x302E | (48 << 16), 0x0100_D200, 0, 0),
    ]);

    private static CpuidTable Amd() => new(
    [
        Leaf(0, 0x10, 0x6874_7541, 0x444D_4163, 0x6974_6E65),
        Leaf(1, 0x00A0_0F11, 0x0010_0800, 0xFEFA_3203, 0x178B_FBFF),
        Sub(7, 0, 0, 0x219C_95A9, 0x0040_069C, 0x10),
        Sub(0xD, 0, 0x7, 832, 832, 0),
        Sub(0xD, 1, 0xF, 832, 0, 0),
        Sub(0xD, 2, 256, 576, 0, 0),
        Leaf(0x8000_0000, 0x8000_0021, 0, 0, 0),
        Leaf(0x8000_0001, 0x00A0_0F11, 0, 0x00C0_33F7 | (1u << 23), 0x2FD3_FBFF),
        Leaf(0x8000_0008, 0x3030, 0x111E_F657, 0x707F, 0),
        Leaf(0x8000_000A, 1, 8, 0, 0x1BDBB),
        Sub(0x8000_001D, 0, 0x0000_4121, 0x01C0_003F, 0x3F, 0),
        Sub(0x8000_001D, 1, 0x003C_0163, 0x03C0_003F, 0x7FFF, 1),
        Leaf(0x8000_001E, 0x33, 0x0119, 0, 0),
        Leaf(0x8000_001F, 2, 0x16F, 0, 0),
        Leaf(0x8000_0022, 1, 6, 0, 0),
        Sub(0x8000_0026, 0, 1, 2, 0x100, 0x33),
    ]);

    private static CpuidEntry Leaf(uint leaf, uint eax, uint ebx, uint ecx, uint edx) =>
        new() { Leaf = leaf, Eax = eax, Ebx = ebx, Ecx = ecx, Edx = edx };

    private static CpuidEntry Sub(uint leaf, uint subleaf, uint eax, uint ebx, uint ecx, uint edx) =>
        Leaf(leaf, eax, ebx, ecx, edx) with { Subleaf = subleaf, HasSubleaf = true };
}
