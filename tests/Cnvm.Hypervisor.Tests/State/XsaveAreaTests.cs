using System.Buffers.Binary;
using System.Collections.Immutable;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Tests.State;

public sealed class XsaveAreaTests
{
    // AVX where everybody has it; protection keys at the end of AVX-512 on one host, right behind AVX on the other.
    private static readonly CpuidTable Wide = Layout((2, 576, 256), (9, 2688, 8));
    private static readonly CpuidTable Narrow = Layout((2, 576, 256), (9, 832, 8));

    [Fact]
    public void InitialStateIsNotPresent()
    {
        byte[] area = new byte[4096];
        BinaryPrimitives.WriteUInt16LittleEndian(area, 0x37f);
        BinaryPrimitives.WriteUInt32LittleEndian(area.AsSpan(24), 0x1f80);
        BinaryPrimitives.WriteUInt32LittleEndian(area.AsSpan(28), 0xffff);
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(512), 7);
        ImmutableArray<byte> normal = XsaveArea.Normalize(area, Wide);
        Assert.Equal(XsaveArea.MinBytes, normal.Length);
        Assert.Equal(0ul, XsaveArea.Present(normal.AsSpan()));
        Assert.Equal(0x1f80u, BinaryPrimitives.ReadUInt32LittleEndian(normal.AsSpan()[24..]));

        byte[] placed = new byte[4096];
        Assert.Equal(0ul, XsaveArea.Place(normal.AsSpan(), Wide, Wide, placed));
        Assert.Equal(0x37f, BinaryPrimitives.ReadUInt16LittleEndian(placed));
    }

    [Fact]
    public void LeftoversOfComponentsThatAreNotPresentAreDropped()
    {
        byte[] area = new byte[4096];
        area[200] = 1;
        area[600] = 2;
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(512), 4);
        ImmutableArray<byte> normal = XsaveArea.Normalize(area, Wide);
        Assert.Equal(4ul, XsaveArea.Present(normal.AsSpan()));
        Assert.Equal((0, 2), (normal[200], normal[600]));
        Assert.Equal(832, normal.Length);
        Assert.Equal(normal.AsEnumerable(), XsaveArea.Normalize(normal.AsSpan(), Wide));
    }

    [Fact]
    public void ComponentsMoveToWhereTheNewHostHasThem()
    {
        byte[] area = new byte[4096];
        area[600] = 2;
        area[2690] = 3;
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(512), 0x204);
        byte[] placed = new byte[840];
        Assert.Equal(0ul, XsaveArea.Place(area, Wide, Narrow, placed));
        Assert.Equal((2, 3), (placed[600], placed[834]));
        byte[] back = new byte[4096];
        Assert.Equal(0ul, XsaveArea.Place(placed, Narrow, Wide, back));
        Assert.Equal(XsaveArea.Normalize(area, Wide).AsEnumerable(), XsaveArea.Normalize(back, Wide));
    }

    [Fact]
    public void AComponentThatTheNewHostLacksIsReported()
    {
        byte[] area = new byte[4096];
        area[2690] = 3;
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(512), 0x200);
        Assert.Equal(0x200ul, XsaveArea.Place(area, Wide, Layout((2, 576, 256)), new byte[4096]));
    }

    private static CpuidTable Layout(params (uint Component, uint Offset, uint Size)[] components) => new(components.Select(
        c => new CpuidEntry { Leaf = 0xd, Subleaf = c.Component, HasSubleaf = true, Eax = c.Size, Ebx = c.Offset }));
}
