using System.Reflection;
using System.Text.RegularExpressions;
using Cnvm.Fuzz;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

public sealed class MachineElementsTests
{
    private static readonly byte[] Written = StateWriter.Write(SampleState.Make(), MachineElements.Describe);

    /// <summary>The sample has no default anywhere, so an element that a declaration forgets comes back as one.</summary>
    [Fact]
    public void Every_property_of_every_device_comes_back()
    {
        MachineState sample = SampleState.MakeWithAll();
        byte[] written = StateWriter.Write(sample, MachineElements.Describe);
        MachineState read = StateReader.Read<MachineState>(written, MachineElements.Describe);
        Assert.Equal(written, StateWriter.Write(read, MachineElements.Describe));
        AssertSame(sample, read, "state");
    }

    /// <summary>
    /// A file of every set of elements that there has been: what came later reads as if the machine had it not. An element that is added fails
    /// this for the last file, which then stays as it is: the program that has it gets a file of its own.
    /// </summary>
    [Theory]
    [InlineData("machine-v1.state")]
    [InlineData("machine-v1-vmgenid.state")]
    [InlineData("machine-v1-devices.state")]
    [InlineData("machine-v1-hotplug.state")]
    [InlineData("machine-v1-vhost-user.state")]
    [InlineData("machine-v1-memory-hotplug.state")]
    [InlineData("machine-v1-cpu-hotplug.state")]
    [InlineData("machine-v1-vmclock.state")]
    [InlineData("machine-v1-file-locks.state")]
    public void States_of_earlier_programs_are_read_and_written_as_they_were(string name)
    {
        MachineState sample = SampleState.Make();
        MemoryState compressed = sample.Memory with { Zstd = new CompressionState([7, 0]) };
        MachineState later = SampleState.MakeWithLaterDevices() with { Memory = compressed };
        MachineState all = SampleState.MakeWithPlatform() with { Memory = compressed };
        sample = name switch
        {
            "machine-v1.state" => sample with { Chipset = sample.Chipset with { GenerationId = null } },
            "machine-v1-vmgenid.state" => sample,
            "machine-v1-devices.state" => later with { Chipset = later.Chipset with { Hotplug = null } },
            "machine-v1-hotplug.state" => later,
            "machine-v1-vhost-user.state" => SampleState.MakeWithVhostUser() with { Memory = compressed },
            "machine-v1-memory-hotplug.state" => all with { Chipset = all.Chipset with { CpuHotplug = null, ClockPage = null } },
            "machine-v1-cpu-hotplug.state" => all with { Chipset = all.Chipset with { MemoryHotplug = null, ClockPage = null } },
            "machine-v1-vmclock.state" => all with { Chipset = all.Chipset with { MemoryHotplug = null, CpuHotplug = null } },
            _ => SampleState.AddFileLocks(all with { Chipset = all.Chipset with { MemoryHotplug = null, CpuHotplug = null } }),
        };
        byte[] golden = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Snapshot", name));
        AssertSame(sample, StateReader.Read<MachineState>(golden, MachineElements.Describe), "state");
        Assert.Empty(StateText.Differences(StateNode.Parse(golden), StateNode.Parse(StateWriter.Write(sample, MachineElements.Describe))));
    }

    /// <summary>A stranger has the page and nothing else: every element is there by number and name, and with its type where one is said.</summary>
    [Fact]
    public void Every_element_stands_in_the_page()
    {
        string page = Regex.Replace(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Snapshot", "FORMAT.md")), @"\s+", " ");
        MachineState all = SampleState.MakeWithAll();
        byte[] state = StateWriter.Write(all with { Memory = all.Memory with { Zstd = new CompressionState([7, 0]) } }, MachineElements.Describe);
        var missing = new SortedSet<string>(StringComparer.Ordinal);
        int elements = Walk(StateParser.Open(state), "");
        Assert.True(elements > 500, $"{elements} elements");
        Assert.Empty(missing);

        int Walk(ReadOnlyMemory<byte> record, string path)
        {
            int count = 0;
            foreach (StateElement element in StateParser.Elements(record, path))
            {
                string place = $"{path}/{element.Name}";
                MatchCollection found = Regex.Matches(page, $@"(?<![\w.]){element.Number} (\| )?{element.Name}\b( \|)?( (?<type>bool|u8|u16|u32|u64 list|u64|i64|text|bytes|record|list)\b)?");
                string[] types = [.. found.Where(f => f.Groups["type"].Success).Select(f => f.Groups["type"].Value)];
                if (found.Count == 0 || (types.Length > 0 && types.Length == found.Count && !types.Contains(Word(element.Type))))
                {
                    missing.Add($"{element.Number} {place} {Word(element.Type)}");
                }

                count += 1 + element.Type switch
                {
                    ElementType.Record => Walk(element.Payload, place),
                    ElementType.RecordList => StateParser.Items(element.Payload, place).Sum(item => Walk(item, place)),
                    _ => 0,
                };
            }

            return count;
        }

        static string Word(ElementType type) => type switch
        {
            ElementType.U64List => "u64 list",
            ElementType.RecordList => "list",
            _ => type.ToString().ToLowerInvariant(),
        };
    }

    [Fact]
    public void Memory_that_cannot_be_is_refused()
    {
        MachineState state = SampleState.Make();
        MemoryRangeState[] ranges = state.Memory.Ranges;
        foreach ((MemoryRangeState[] wrong, string why) in new[]
        {
            ([ranges[1], ranges[0]], "overlaps"),
            (Array.Empty<MemoryRangeState>(), "no memory"),
            ([ranges[0] with { Size = ulong.MaxValue - 0xfff }], "no range of memory"),
            ([ranges[0] with { Checksums = [1] }], "checksums"),
            ([ranges[0] with { FileOffset = 7 }], "file offset"),
            (new[] { ranges[0] with { Pages = [1, 2] } }, "page bits"),
        })
        {
            byte[] bytes = StateWriter.Write(state with { Memory = state.Memory with { Ranges = wrong } }, MachineElements.Describe);
            var e = Assert.Throws<StateFormatException>(() => StateReader.Read<MachineState>(bytes, MachineElements.Describe));
            Assert.Contains(why, e.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Who reads a chunk at a time has memory for one.</summary>
    [Fact]
    public void Chunks_that_are_too_large_to_hold_are_refused()
    {
        MachineState state = SampleState.Make();
        foreach ((uint bytes, bool isRefused) in new[] { (64u << 20, false), ((64u << 20) + 4096, true), (1u << 30, true), (4097u, true) })
        {
            MemoryRangeState[] ranges = [state.Memory.Ranges[0] with { Checksums = bytes > 4097 ? [1] : [1, 2] }, state.Memory.Ranges[1]];
            byte[] written = StateWriter.Write(state with { Memory = state.Memory with { ChunkBytes = bytes, Ranges = ranges } }, MachineElements.Describe);
            string? refusal = Record.Exception(() => StateReader.Read<MachineState>(written, MachineElements.Describe))?.Message;
            Assert.Equal(isRefused, refusal?.Contains($"chunks of {bytes} bytes", StringComparison.Ordinal) ?? false);
        }
    }

    [Fact]
    public void Compressed_frames_are_read_and_those_that_cannot_be_are_refused()
    {
        MachineState state = SampleState.Make();
        state = state with { Memory = state.Memory with { Zstd = new CompressionState([7, 0]) } };
        byte[] bytes = StateWriter.Write(state, MachineElements.Describe);
        AssertSame(state, StateReader.Read<MachineState>(bytes, MachineElements.Describe), "state");
        foreach ((ulong[] frames, string why) in new[] { (new ulong[] { 7 }, "frames for 2 chunks"), ([7, 1 << 20], "larger than any"), ([7, ulong.MaxValue], "larger than any") })
        {
            bytes = StateWriter.Write(state with { Memory = state.Memory with { Zstd = new CompressionState(frames) } }, MachineElements.Describe);
            Assert.Contains(
                why, Assert.Throws<StateFormatException>(() => StateReader.Read<MachineState>(bytes, MachineElements.Describe)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Hostile_bytes_with_a_right_checksum_end_in_refusal_or_a_state()
    {
        var random = new Random(SeededRuns.First(7));
        DateTime end = DateTime.UtcNow.AddSeconds(Math.Max(1, SeededRuns.Seconds()));
        int refused = 0;
        while (DateTime.UtcNow < end)
        {
            byte[] bytes = HostileState.Mutate(Written, random);
            try
            {
                StateReader.Read<MachineState>(bytes, MachineElements.Describe);
            }
            catch (StateFormatException)
            {
                refused++;
            }
        }

        Assert.True(refused > 0);
    }

    /// <summary>Compares by properties, as records compare arrays by identity.</summary>
    private static void AssertSame(object? expected, object? actual, string path)
    {
        if (expected is null || actual is null || expected is string || expected.GetType().IsPrimitive || expected.GetType().IsEnum)
        {
            Assert.True(Equals(expected, actual), $"{path}: {expected} / {actual}");
        }
        else if (expected is System.Collections.IEnumerable list)
        {
            object?[] left = [.. list.Cast<object?>()];
            object?[] right = [.. ((System.Collections.IEnumerable)actual).Cast<object?>()];
            Assert.True(left.Length == right.Length, $"{path}: {left.Length} / {right.Length} items");
            for (int i = 0; i < left.Length; i++)
            {
                AssertSame(left[i], right[i], $"{path}[{i}]");
            }
        }
        else
        {
            Assert.Equal(expected.GetType(), actual.GetType());
            foreach (PropertyInfo property in expected.GetType().GetProperties().Where(p => p.SetMethod is not null))
            {
                AssertSame(property.GetValue(expected), property.GetValue(actual), $"{path}/{property.Name}");
            }
        }
    }
}
