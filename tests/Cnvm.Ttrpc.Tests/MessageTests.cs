using Cnvm.Fuzz;

namespace Cnvm.Ttrpc.Tests;

/// <summary>What the generator, the writer and the reader make of messages.</summary>
public sealed class MessageTests
{
    [Fact]
    public void Bytes_are_those_of_the_format()
    {
        var message = new Everything
        {
            Yes = true,
            I32 = -1,
            U32 = 300,
            Text = "é",
            Data = new byte[] { 0, 255 },
            Leaf = new Leaf(),
            Maybe = 0,
            Texts = ["", "a"],
            U64s = [1, 128],
            Counts = new Dictionary<string, ulong> { ["k"] = 0 },
        };
        Assert.Equal(
            "0801" + "10FFFFFFFFFFFFFFFFFF01" + "18AC02" + "3A02C3A9" + "420200FF" + "5200" + "6000" + "6A00" + "6A0161" + "9A0103018001" + "BA01030A016B",
            Convert.ToHexString(ProtoWriter.ToBytes(message)));
    }

    [Fact]
    public void Nothing_set_is_nothing_written() => Assert.Empty(ProtoWriter.ToBytes(new Everything()));

    [Fact]
    public void Random_messages_come_back_as_they_went()
    {
        var random = new Random(1);
        for (int i = 0; i < 300; i++)
        {
            byte[] bytes = ProtoWriter.ToBytes(Everything.Random(random));
            Assert.Equal(bytes, ProtoWriter.ToBytes(Everything.Read(bytes)));
        }
    }

    [Fact]
    public void Values_come_back_as_they_went()
    {
        Everything sent = Everything.Random(new Random(7), depth: 0) with { Leaf = new Leaf { Name = "x", Value = ulong.MaxValue }, Colour = Colour.Dark, Perhaps = false };
        Everything came = Everything.Read(ProtoWriter.ToBytes(sent));
        Assert.Equal(sent.Text, came.Text);
        Assert.Equal(sent.Data.ToArray(), came.Data.ToArray());
        Assert.Equal(sent.Leaf, came.Leaf);
        Assert.Equal(Colour.Dark, came.Colour);
        Assert.False(came.Perhaps);
        Assert.NotNull(came.Perhaps);
        Assert.Equal(sent.I64s, came.I64s);
        Assert.Equal(sent.Reals, came.Reals);
        Assert.Equal(sent.Leafs, came.Leafs);
        Assert.Equal(sent.Names, came.Names);
        Assert.Equal((sent.I32, sent.U32, sent.I64, sent.U64, sent.Real), (came.I32, came.U32, came.I64, came.U64, came.Real));
    }

    [SkippableFact]
    public void Protoc_reads_and_writes_the_same()
    {
        Protoc.SkipWithout();
        var random = new Random(2);
        for (int i = 0; i < 8; i++)
        {
            byte[] ours = ProtoWriter.ToBytes(Everything.Random(random));
            string text = Protoc.Decode(Everything.Proto, "Everything", ours);
            byte[] theirs = Protoc.Encode(Everything.Proto, "Everything", text);
            // Maps and unpacked lists lie otherwise in theirs: what counts is that both sides read the same from either.
            Assert.Equal(text, Protoc.Decode(Everything.Proto, "Everything", ProtoWriter.ToBytes(Everything.Read(theirs))));
        }
    }

    [SkippableFact]
    public void Protoc_takes_a_message_apart_as_it_was_put_together()
    {
        Protoc.SkipWithout();
        byte[] bytes = ProtoWriter.ToBytes(new Everything { Leaf = new Leaf { Name = "abc", Value = 5 }, Real = 1, Texts = ["x"] });
        Assert.Equal("""
            6: 0x3ff0000000000000
            10 {
              1: "abc"
              200: 5
            }
            13: "x"

            """, Protoc.DecodeRaw(bytes));
    }

    [Fact]
    public void Unknown_fields_are_passed_over()
    {
        // 100: varint, fixed64, bytes, a group with a group in it, fixed32; then the known one.
        byte[] bytes = Convert.FromHexString("A006FF01" + "A1060102030405060708" + "A206020A00" + "A306A3060801A406A406" + "A50601020304" + "1807");
        Assert.Equal(7u, Everything.Read(bytes).U32);
    }

    [Fact]
    public void The_last_one_counts_and_lists_go_on()
    {
        Everything read = Everything.Read(Convert.FromHexString("1801" + "1802" + "8A01020102" + "880103"));
        Assert.Equal(2u, read.U32);
        Assert.Equal([1u, 2u, 3u], read.U32s);
    }

    [Fact]
    public void Entries_of_maps_may_lack_key_or_value()
    {
        Everything read = Everything.Read(Convert.FromHexString("C20100" + "BA01021005" + "BA01030A0161"));
        Assert.Equal(new Leaf(), read.Leafs[""]);
        Assert.Equal(5ul, read.Counts[""]);
        Assert.Equal(0ul, read.Counts["a"]);
    }

    [Theory]
    [InlineData("08", "field 1, byte 1: a number without an end")]
    [InlineData("0880", "field 1, byte 1: a number without an end")]
    [InlineData("08FFFFFFFFFFFFFFFFFF02", "field 1, byte 1: a number of more than 64 bits")]
    [InlineData("08FFFFFFFFFFFFFFFFFF8001", "field 1, byte 1: a number of more than 64 bits")]
    [InlineData("00", "byte 0: 0 is no tag of a field")]
    [InlineData("0E00", "byte 0: 14 is no tag of a field")]
    [InlineData("8080808010", "byte 0: 4294967296 is no tag of a field")]
    [InlineData("3A05616263", "field 7, byte 1: a length of 5 with 3 bytes left")]
    [InlineData("3AFFFFFFFFFFFFFFFFFF01", "field 7, byte 1: a length of 18446744073709551615 with 0 bytes left")]
    [InlineData("3A01FF", "field 7, byte 1: text that is not UTF-8")]
    [InlineData("0A00", "field 1, byte 1: wire type 2 where 0 belongs")]
    [InlineData("3105", "field 6, byte 1: 8 bytes are needed and 1 are left")]
    [InlineData("A206FF", "field 100, byte 2: a number without an end")]
    [InlineData("A406", "field 100, byte 2: the end of a group that has not begun")]
    [InlineData("A3060801", "field 100, byte 2: a group without an end")]
    [InlineData("5A0452020A05", "in field 11 (byte 1): in field 10 (byte 1): field 1, byte 1: a length of 5 with 0 bytes left")]
    [InlineData("BA01021205", "entry of field 23, field 2, byte 1: wire type 2 where 0 belongs")]
    [InlineData("8A010180", "field 17, byte 0: a number without an end")]
    [InlineData("A201020102", "field 20, byte 0: 8 bytes are needed and 2 are left")]
    [InlineData("8D0101020304", "field 17, byte 2: wire type 5 where 0 belongs")]
    public void Malformed_messages_are_refused_with_what_and_where(string hex, string message) =>
        Assert.Equal(message, Assert.Throws<ProtoException>(() => Everything.Read(Convert.FromHexString(hex))).Message);

    [Fact]
    public void Depth_is_bounded()
    {
        Everything Nested(int depth)
        {
            var message = new Everything();
            for (int i = 0; i < depth; i++)
            {
                message = new Everything { Self = message };
            }
            return message;
        }
        Assert.NotNull(Everything.Read(ProtoWriter.ToBytes(Nested(100))));
        Assert.Contains("more than 100 messages in each other", Assert.Throws<ProtoException>(() => Everything.Read(ProtoWriter.ToBytes(Nested(101)))).Message);
        // And the next one on this thread is read as if nothing had been.
        Assert.NotNull(Everything.Read(ProtoWriter.ToBytes(Nested(100))));
    }

    [Theory]
    [InlineData("7200")] // an empty message
    [InlineData("6A0161")] // a text
    [InlineData("B20100")] // an entry
    public void Objects_are_bounded(string element)
    {
        byte[] one = Convert.FromHexString(element);
        byte[] Repeated(int count) => [.. Enumerable.Repeat(one, count).SelectMany(b => b)];
        Assert.NotNull(Everything.Read(Repeated(ProtoBudget.MaxObjects)));
        Assert.Contains("262144", Assert.Throws<ProtoException>(() => Everything.Read(Repeated(ProtoBudget.MaxObjects + 1))).Message);
        Assert.NotNull(Everything.Read(Repeated(ProtoBudget.MaxObjects)));
    }

    [Fact]
    public void Damaged_messages_are_read_or_refused_and_nothing_else()
    {
        int refused = 0;
        int runs = SeededRuns.Repeat(20_000, seed =>
        {
            var random = new Random(seed);
            byte[] bytes = ProtoWriter.ToBytes(Everything.Random(random, depth: 1));
            for (int n = random.Next(1, 4); n > 0 && bytes.Length > 0; n--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }
            try
            {
                Everything.Read(bytes.AsSpan(0, random.Next(4) == 0 ? random.Next(bytes.Length) : bytes.Length));
            }
            catch (ProtoException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 20, runs - 1);
    }

    [Fact]
    public void Noise_is_read_or_refused_and_nothing_else()
    {
        int refused = 0;
        int runs = SeededRuns.Repeat(50_000, seed =>
        {
            var random = new Random(seed);
            byte[] bytes = new byte[random.Next(64)];
            random.NextBytes(bytes);
            try
            {
                Everything.Read(bytes);
            }
            catch (ProtoException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 5, runs - 1);
    }

    [Fact]
    public void Writing_deep_messages_takes_time_in_proportion()
    {
        // Copying what is inside at every level would move a thousand times as much as the same bytes in one message.
        const int levels = 2000;
        byte[] data = new byte[4096];
        var deep = new Everything();
        for (int i = 0; i < levels; i++)
        {
            deep = new Everything { Data = data, Self = deep };
        }
        var flat = new Everything { Data = new byte[levels * data.Length] };
        Assert.InRange(ProtoWriter.ToBytes(deep).Length, levels * data.Length, levels * (data.Length + 20));
        TimeSpan Best(Everything message) => Enumerable.Range(0, 5).Min(_ =>
        {
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            ProtoWriter.ToBytes(message);
            return System.Diagnostics.Stopwatch.GetElapsedTime(start);
        });
        Assert.InRange(Best(deep) / Best(flat), 0, 100);
    }

    [Fact]
    public void A_writer_serves_again_after_a_reset()
    {
        var writer = new ProtoWriter();
        new Everything { Data = new byte[2 << 20], Leaf = new Leaf { Name = "n" } }.Write(writer);
        writer.Reset();
        Assert.Equal(0, writer.Length);
        new Leaf { Name = "a" }.Write(writer);
        Assert.Equal("0A0161", Convert.ToHexString(writer.ToArray()));
        Assert.Throws<ArgumentException>(() => writer.CopyTo(new byte[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteUInt32(0, 1u));
    }

    [Fact]
    public void Known_types_are_as_google_has_them()
    {
        Assert.Empty(ProtoWriter.ToBytes(Empty.Instance));
        ProtoAny any = ProtoAny.Read(ProtoWriter.ToBytes(ProtoAny.Of("t", new Leaf { Name = "a" })));
        Assert.Equal("t", any.TypeUrl);
        Assert.Equal("0A0161", Convert.ToHexString(any.Value.Span));
        Assert.Equal("0A017412030A0161", Convert.ToHexString(ProtoWriter.ToBytes(any)));
    }

    [Theory]
    [InlineData("1970-01-01T00:00:00Z", 0, 0)]
    [InlineData("1969-12-31T23:59:59.75Z", -1, 750_000_000)]
    [InlineData("2026-11-22T17:30:00.1234567+02:00", 1795361400, 123_456_700)]
    [InlineData("0001-01-01T00:00:00Z", -62135596800, 0)]
    [InlineData("9999-12-31T23:59:59.9999999Z", 253402300799, 999_999_900)]
    public void Timestamps_are_instants(string time, long seconds, int nanoseconds)
    {
        DateTimeOffset instant = DateTimeOffset.Parse(time);
        ProtoTimestamp stamp = ProtoTimestamp.From(instant);
        Assert.Equal((seconds, nanoseconds), (stamp.Seconds, stamp.Nanoseconds));
        Assert.Equal(instant, stamp.ToDateTimeOffset());
    }

    [Theory]
    [InlineData(long.MaxValue, 0)]
    [InlineData(long.MinValue, 0)]
    [InlineData(0, -1)]
    [InlineData(0, 1_000_000_000)]
    public void Timestamps_that_are_no_instants_are_refused(long seconds, int nanoseconds) =>
        Assert.Throws<ProtoException>(() => new ProtoTimestamp { Seconds = seconds, Nanoseconds = nanoseconds }.ToDateTimeOffset());
}
