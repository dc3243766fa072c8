using System.Buffers.Binary;
using System.Text.Json;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Cli.Tests;

/// <summary>What the program says of snapshots on disk, and makes of them.</summary>
public sealed class SnapshotTests : IDisposable
{
    private readonly CliRun _cli = new();

    private string Snapshot => Path.Combine(_cli.Folder, "snapshot");

    public void Dispose() => _cli.Dispose();

    [Fact]
    public void A_state_is_printed_for_people_and_as_json()
    {
        SnapshotFixture.WriteState(Snapshot, SnapshotFixture.Guest() with { Producer = "cnvm \u001b[2J of old" });
        CliResult text = _cli.Run("inspect", "snapshot");
        Assert.Equal((0, ""), (text.ExitCode, text.Error));
        Assert.StartsWith("producer: cnvm \\u001b[2J of old\nhypervisor: ", text.Output, StringComparison.Ordinal);
        Assert.Contains("\n  ranges:\n    0:\n      gpa: 0x0\n", text.Output, StringComparison.Ordinal);
        Assert.Equal(text, _cli.Run("inspect", $"file://{Snapshot}"));
        CliResult json = _cli.Run("inspect", "snapshot", "--json");
        JsonElement state = JsonDocument.Parse(json.Output).RootElement;
        Assert.Equal("cnvm \u001b[2J of old", state.GetProperty("producer").GetString());
        Assert.Equal("0102030405060708090a0b0c0d0e0f10", state.GetProperty("id").GetString());
        Assert.Equal(4, state.GetProperty("virtio").GetArrayLength());
    }

    [Fact]
    public void A_running_vm_is_inspected_and_checked_as_its_snapshot_is()
    {
        byte[] state = StateWriter.Write(SnapshotFixture.Guest(), MachineElements.Describe);
        SnapshotFixture.WriteBytes(Snapshot, state);
        File.WriteAllBytes(Path.Combine(_cli.Folder, "host.json"), HostCapabilitiesFile.Write(SnapshotFixture.Host()));
        string socket = Path.Combine(_cli.Folder, "vm.sock");
        using var vmm = new FakeVmm(socket, FakeVmm.Answer(200, $$"""{"format":"cnvm-state","version":1,"state":"{{Convert.ToBase64String(state)}}"}"""));
        Assert.Equal(_cli.Run("inspect", "snapshot").Output, _cli.Run("inspect", socket).Output);
        Assert.Equal(_cli.Run("inspect", "snapshot", "--json").Output, _cli.Run("inspect", socket, "--json").Output);
        CliResult check = _cli.Run("check", socket, "--against", "host.json");
        Assert.Equal((0, _cli.Run("check", "snapshot", "--against", "host.json").Output), (check.ExitCode, check.Output));
        Assert.All(vmm.Requests, r => Assert.StartsWith("GET /api/v1/vm.state ", r, StringComparison.Ordinal));
        CliResult none = _cli.Run("inspect", "nothing-of-that-name");
        Assert.Equal(3, none.ExitCode);
        Assert.Contains("nothing-of-that-name", none.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("./typo", 1, "there is neither a snapshot's folder nor a VM's socket ./typo")]
    [InlineData("snapshot/state.json", 1, "snapshot/state.json is a file: name the snapshot's folder, snapshot")]
    [InlineData("typo", 3, "no VM named 'typo' is running; none is (see cnvm start --help); and there is no folder typo")]
    public void What_is_neither_a_vm_nor_a_snapshot_is_told(string operand, int exitCode, string message)
    {
        SnapshotFixture.WriteState(Snapshot, SnapshotFixture.Guest());
        foreach (string command in (string[])["inspect", "check"])
        {
            CliResult result = _cli.Run(command, operand);
            Assert.Equal((exitCode, ""), (result.ExitCode, result.Output));
            Assert.EndsWith($": {message}\n", result.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("inspect")]
    [InlineData("check --against host.json")]
    public void Damaged_cut_off_foreign_and_missing_states_are_refused_by_name(string command)
    {
        File.WriteAllBytes(Path.Combine(_cli.Folder, "host.json"), HostCapabilitiesFile.Write(SnapshotFixture.Host()));
        byte[] whole = StateWriter.Write(SnapshotFixture.Guest(), MachineElements.Describe);
        string path = SnapshotFixture.WriteBytes(Snapshot, whole);
        AssertRefused(command, "");
        SnapshotFixture.WriteBytes(Snapshot, whole[..^7]);
        AssertRefused(command, "cut off");
        byte[] damaged = [.. whole];
        damaged[whole.Length / 2] ^= 4;
        SnapshotFixture.WriteBytes(Snapshot, damaged);
        AssertRefused(command, "checksum");
        byte[] newer = [.. whole];
        newer[8] = 9;
        SnapshotFixture.WriteBytes(Snapshot, newer);
        AssertRefused(command, "version 9");
        File.WriteAllText(path, """{"snapshots":{}}""");
        AssertRefused(command, "no snapshot of cnvm");
        using (var sparse = new FileStream(path, FileMode.Create))
        {
            sparse.SetLength(1L << 32);
        }

        AssertRefused(command, "at most");
        File.Delete(path);
        AssertRefused(command, "cannot be read");
    }

    [Fact]
    public void A_state_of_countless_empty_records_is_refused_by_name()
    {
        // FORMAT.md: header; element 1, a record list called x; the count, and a length of 0 for each record.
        const int Records = (4 << 20) + 1;
        const int ListBytes = 4 + (Records * 4);
        byte[] state = new byte[24 + 10 + ListBytes];
        "CNVMSTAT"u8.CopyTo(state);
        state[8] = 1;
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(16), state.Length - 24);
        new byte[] { 1, 0, (byte)ElementType.RecordList, 0, 1, (byte)'x' }.CopyTo(state, 24);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(30), ListBytes);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(34), Records);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(12), Crc32C.Of([.. state[..12], .. state[16..]]));
        SnapshotFixture.WriteBytes(Snapshot, state);
        AssertRefused("inspect", "more than 4194304 elements");
    }

    [Fact]
    public void A_host_that_keeps_every_promise_is_a_yes_and_exit_code_0()
    {
        SnapshotFixture.WriteState(Snapshot, SnapshotFixture.Guest());
        WriteHost(SnapshotFixture.Host());
        Assert.Equal(
            new CliResult(0, "yes: test as host.json describes it runs the guest\n", ""), _cli.Run("check", "snapshot", "--against", "host.json"));
        JsonElement json = JsonDocument.Parse(_cli.Run("check", "snapshot", "--against=host.json", "--json").Output).RootElement;
        Assert.True(json.GetProperty("runs").GetBoolean());
        Assert.Equal(0, json.GetProperty("obstacles").GetArrayLength());
    }

    [Fact]
    public void Every_obstacle_is_named_and_the_exit_code_is_1()
    {
        SnapshotFixture.WriteState(Snapshot, SnapshotFixture.Guest());
        WriteHost(SnapshotFixture.SmallHost() with { Hypervisor = "te\u001bst" });
        CliResult no = _cli.Run("check", "snapshot", "--against", "host.json");
        string[] lines = no.Output.TrimEnd('\n').Split('\n');
        Assert.Equal((1, "", 3), (no.ExitCode, no.Error, lines.Length));
        Assert.Equal("no: te\\u001bst as host.json describes it does not run the guest", lines[0]);
        Assert.StartsWith("  vCPUs: the guest has 2, te\\u001bst there runs at most 1", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("  CPU feature aes: ", lines[2], StringComparison.Ordinal);
        CliResult json = _cli.Run("check", "snapshot", "--against", "host.json", "--json");
        JsonElement answer = JsonDocument.Parse(json.Output).RootElement;
        Assert.Equal((1, false, 2), (json.ExitCode, answer.GetProperty("runs").GetBoolean(), answer.GetProperty("obstacles").GetArrayLength()));
    }

    [Fact]
    public void A_file_that_describes_no_host_is_refused_by_name()
    {
        SnapshotFixture.WriteState(Snapshot, SnapshotFixture.Guest());
        string host = Path.Combine(_cli.Folder, "host.json");
        foreach (byte[] contents in new[] { [], "[]"u8.ToArray(), "{\"format\":\"x\"}"u8.ToArray(), new byte[(1 << 20) + 1] })
        {
            File.WriteAllBytes(host, contents);
            AssertRefusedFile(_cli.Run("check", "snapshot", "--against", "host.json"), "host.json");
        }

        AssertRefusedFile(_cli.Run("check", "snapshot", "--against", "none.json"), "none.json");
        AssertRefusedFile(_cli.Run("check", "snapshot", "--against", "/dev/zero"), "/dev/zero has more than");
        Assert.Equal(2, _cli.Run("check", "snapshot", "--against", "host.json", "--hypervisor", "soft").ExitCode);
    }

    [Fact]
    public void A_difference_is_merged_with_what_it_follows()
    {
        byte[] older = [.. Enumerable.Repeat((byte)1, SnapshotFixture.PageBytes), .. Enumerable.Repeat((byte)2, SnapshotFixture.PageBytes)];
        byte[] newer = [.. new byte[SnapshotFixture.PageBytes], .. Enumerable.Repeat((byte)3, SnapshotFixture.PageBytes)];
        SnapshotFixture.WriteWithMemory(Snapshot, 1, null, older, 0);
        string difference = Path.Combine(_cli.Folder, "difference");
        SnapshotFixture.WriteWithMemory(difference, 2, 1, newer, 2);
        string merged = Path.Combine(_cli.Folder, "merged");
        AssertRefusedFile(_cli.Run("snapshot", "merge", "snapshot", "difference", "merged"), "merged is no folder");
        Directory.CreateDirectory(merged);
        AssertRefusedFile(_cli.Run("snapshot", "merge", "difference", "snapshot", "merged"), "snapshot is no difference to difference");
        Assert.Empty(Directory.GetFiles(merged));
        Assert.Equal(new CliResult(0, "", ""), _cli.Run("snapshot", "merge", "snapshot", "difference", "merged"));
        Assert.Equal([.. older[..SnapshotFixture.PageBytes], .. newer[SnapshotFixture.PageBytes..]], File.ReadAllBytes(Path.Combine(merged, SnapshotFiles.Memory)));
        Assert.Null(SnapshotFolder.ReadState(merged).Memory.Parent);
        AssertRefusedFile(_cli.Run("snapshot", "merge", "snapshot", "difference", "merged"), "exists");
    }

    /// <summary>Its checksums would be right again afterwards, and nobody would ever know.</summary>
    [Theory]
    [InlineData("snapshot", true)]
    [InlineData("snapshot", false)]
    [InlineData("difference", true)]
    [InlineData("difference", false)]
    public void What_is_damaged_or_cut_off_is_not_merged(string which, bool isCut)
    {
        byte[] memory = [.. Enumerable.Repeat((byte)1, SnapshotFixture.PageBytes), .. Enumerable.Repeat((byte)2, SnapshotFixture.PageBytes)];
        SnapshotFixture.WriteWithMemory(Snapshot, 1, null, memory, 0);
        SnapshotFixture.WriteWithMemory(Path.Combine(_cli.Folder, "difference"), 2, 1, memory, 2);
        string merged = Directory.CreateDirectory(Path.Combine(_cli.Folder, "merged")).FullName;
        string path = Path.Combine(_cli.Folder, which, SnapshotFiles.Memory);
        memory[^7] ^= 1;
        File.WriteAllBytes(path, isCut ? memory[..^7] : memory);
        AssertRefusedFile(_cli.Run("snapshot", "merge", "snapshot", "difference", "merged"), $"{which}: memory-ranges is damaged between bytes 0x1000 and 0x2000");
        Assert.Empty(Directory.GetFiles(merged));
        File.Delete(path);
        AssertRefusedFile(_cli.Run("snapshot", "merge", "snapshot", "difference", "merged"), $"{which}/{SnapshotFiles.Memory} cannot be read");
        Assert.Empty(Directory.GetFiles(merged));
    }

    [Theory]
    [InlineData("inspect")]
    [InlineData("inspect a b")]
    [InlineData("inspect a --against b")]
    [InlineData("check")]
    [InlineData("check a --against")]
    [InlineData("host-capabilities a")]
    [InlineData("host-capabilities --hypervisor xen")]
    [InlineData("snapshot merge")]
    [InlineData("snapshot merge a b")]
    [InlineData("snapshot merge a b c d")]
    public void Wrong_command_lines_are_told(string command)
    {
        CliResult result = _cli.Run(command.Split(' '));
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("cnvm: ", result.Error, StringComparison.Ordinal);
    }

    private void WriteHost(HostCapabilities host) => File.WriteAllBytes(Path.Combine(_cli.Folder, "host.json"), HostCapabilitiesFile.Write(host));

    /// <param name="reason">Part of the message; empty if the state is good.</param>
    private void AssertRefused(string command, string reason)
    {
        string[] words = command.Split(' ');
        CliResult result = _cli.Run([words[0], "snapshot", .. words[1..]]);
        if (reason.Length == 0)
        {
            Assert.Equal((0, ""), (result.ExitCode, result.Error));
            return;
        }

        AssertRefusedFile(result, reason);
        Assert.Contains("snapshot/state.json", result.Error, StringComparison.Ordinal);
    }

    private static void AssertRefusedFile(CliResult result, string reason)
    {
        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("cnvm: ", result.Error, StringComparison.Ordinal);
        Assert.Contains(reason, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }
}
