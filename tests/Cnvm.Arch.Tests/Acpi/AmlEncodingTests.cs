using Cnvm.Arch.Acpi.Aml;
using Xunit;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Tests.Acpi;

public sealed class AmlEncodingTests
{
    [Theory]
    [InlineData(0UL, "00")]
    [InlineData(1UL, "01")]
    [InlineData(2UL, "0A02")]
    [InlineData(0xFFUL, "0AFF")]
    [InlineData(0x100UL, "0B0001")]
    [InlineData(0xFFFFUL, "0BFFFF")]
    [InlineData(0x1_0000UL, "0C00000100")]
    [InlineData(0xFFFF_FFFFUL, "0CFFFFFFFF")]
    [InlineData(0x1_0000_0000UL, "0E0000000001000000")]
    [InlineData(ulong.MaxValue, "FF")]
    public void Integers_take_the_shortest_form(ulong value, string expected) => AssertAml(expected, value);

    [Theory]
    [InlineData("ABCD", "41424344")]
    [InlineData("A", "415F5F5F")]
    [InlineData(@"\", "5C00")]
    [InlineData(@"\_SB", "5C5F53425F")]
    [InlineData(@"\_SB.PCI0", "5C2E5F53425F50434930")]
    [InlineData("^^FOO", "5E5E464F4F5F")]
    [InlineData(@"\_SB.PCI0.S00", "5C2F035F53425F504349305330305F")]
    public void Names_are_padded_and_prefixed(string path, string expected) => AssertAml(expected, Path(path));

    [Theory]
    [InlineData("ABCDE")]
    [InlineData("1ABC")]
    [InlineData("abc")]
    [InlineData("A..B")]
    [InlineData("A^B")]
    [InlineData(@"A\B")]
    public void Names_that_are_not_aml_are_refused(string path) => Assert.Throws<ArgumentException>(() => Path(path));

    [Fact]
    public void Strings_end_with_nul() => AssertAml("0D486900", Text("Hi"));

    [Fact]
    public void Strings_with_foreign_characters_are_refused() => Assert.Throws<ArgumentException>(() => Text("caf\u00e9"));

    [Theory]
    [InlineData("PNP0A08", "0C41D00A08")]
    [InlineData("PNP0501", "0C41D00501")]
    [InlineData("ACPI", null)]
    [InlineData("pnp0501", null)]
    public void Eisa_ids_are_compressed(string id, string? expected)
    {
        if (expected is null)
        {
            Assert.Throws<ArgumentException>(() => EisaId(id));
            return;
        }

        AssertAml(expected, EisaId(id));
    }

    /// <summary>PkgLength counts itself, so each limit of its width is a case of its own.</summary>
    [Theory]
    [InlineData(0x3F - 6, 1)]
    [InlineData(0x3F - 5, 2)]
    [InlineData(0xFFF - 7, 2)]
    [InlineData(0xFFF - 6, 3)]
    [InlineData(0xFFFFF - 8, 3)]
    [InlineData(0xFFFFF - 7, 4)]
    public void Package_lengths_count_their_own_bytes(int bodyBytes, int width)
    {
        // A scope is opcode, PkgLength, a name of five bytes (root and one segment), then the body.
        var body = Enumerable.Repeat<AmlTerm>(0, bodyBytes).ToArray();
        var encoded = Scope(@"\FOO", body).Encode();

        Assert.Equal(0x10, encoded[0]);
        Assert.Equal(width - 1, encoded[1] >> 6);
        var length = width == 1 ? encoded[1] & 0x3F : encoded[1] & 0x0F;
        for (var i = 1; i < width; i++)
        {
            length |= encoded[1 + i] << (4 + (8 * (i - 1)));
        }

        Assert.Equal(encoded.Length - 1, length);
        Assert.Equal(@"\FOO_", System.Text.Encoding.ASCII.GetString(encoded, 1 + width, 5));
        Assert.Equal(1 + width + 5 + bodyBytes, encoded.Length);
    }

    [Fact]
    public void Methods_carry_arguments_and_serialisation()
    {
        AssertAml("14084D304D5F02A468", Method("M0M", 2, Return(Arg(0))));
        AssertAml("14084D304D5F09A460", SerializedMethod("M0M", 1, Return(Local(0))));
        Assert.Throws<ArgumentOutOfRangeException>(() => Method("M", 8));
        Assert.Throws<ArgumentOutOfRangeException>(() => Arg(7));
        Assert.Throws<ArgumentOutOfRangeException>(() => Local(8));
    }

    [Fact]
    public void Statements_encode_operands_in_order()
    {
        AssertAml("700161", Store(1, Local(1)));
        AssertAml("865057524200", Notify(Path("PWRB"), 0));
        AssertAml("A0077B6801007561", If(And(Arg(0), 1), Increment(Local(1))));
        AssertAml("A20301A5", While(1, Break()));
        AssertAml("5B234D555458FFFF", Acquire("MUTX"));
        AssertAml("5B274D555458", Release("MUTX"));
        AssertAml("5B014D55545800", Mutex("MUTX"));
        AssertAml("72600161", Add(Local(0), 1, Local(1)));
        AssertAml("92930001", LogicalNot(Equal(0, 1)));
    }

    [Fact]
    public void Fields_hold_names_and_gaps()
    {
        var field = Field("REGS", AmlFieldAccess.Dword, AmlFieldUpdate.WriteAsZeros, Unit("AAAA", 32), Skip(64), Unit("B", 8));
        AssertAml("5B811352454753434141414120004004425F5F5F08", field);
    }

    [Fact]
    public void Packages_above_255_elements_use_the_variable_form()
    {
        Assert.Equal(0x12, Package(Enumerable.Repeat<AmlTerm>(0, 255).ToArray()).Encode()[0]);
        Assert.Equal(0x13, Package(Enumerable.Repeat<AmlTerm>(0, 256).ToArray()).Encode()[0]);
    }

    [Fact]
    public void Resource_templates_end_with_a_tag()
    {
        // Buffer, length, size, IO descriptor of eight bytes, end tag.
        AssertAml("110D0A0A4701F803F80301087900", ResourceTemplate(AmlResource.Io(0x3F8, 8)));
    }

    [Fact]
    public void Resource_ranges_are_checked()
    {
        Assert.Throws<ArgumentException>(() => AmlResource.MemoryRange32(0x2000, 0x1FFF));
        Assert.Throws<ArgumentException>(() => AmlResource.MemoryRange64(2, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => AmlResource.IsaIrq(16));
    }

    private static void AssertAml(string expected, AmlTerm term) => Assert.Equal(expected, Convert.ToHexString(term.Encode()));
}
