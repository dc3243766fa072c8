using System.Diagnostics;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Cli.Tests;

/// <summary>The console between a person's terminal and a guest's, both pseudo-terminals of the test.</summary>
public sealed class ConsoleTests : IDisposable
{
    private const int LimitMilliseconds = 30_000;
    private readonly CliRun _cli = new();
    private readonly PseudoTerminal _guest = new();
    private readonly PseudoTerminal _person = new();

    private string Socket => Path.Combine(_cli.Folder, "fake.sock");

    public void Dispose()
    {
        _guest.Dispose();
        _person.Dispose();
        _cli.Dispose();
    }

    [Fact]
    public void A_terminal_is_joined_to_the_guests_until_the_key_and_then_as_it_was()
    {
        using FakeVmm vmm = Serve("Pty", "file", _guest.Path);
        Stty("sane rows 33 cols 101");
        Process console = Attach("");
        Await(_person.Fd, "serial (" + _guest.Path + "); Ctrl-] detaches");
        FileIo.Write(_guest.Fd, "login: "u8);
        Await(_person.Fd, "login: ");
        FileIo.Write(_person.Fd, "root\u0003\u0001x"u8);
        Await(_guest.Fd, "root\u0003\u0001x");
        Assert.Equal("33 101", Run("stty", "-F", _guest.Path, "size").Trim());
        Assert.Contains("-icanon", Run("stty", "-F", _person.Path, "-a"), StringComparison.Ordinal);
        FileIo.Write(_person.Fd, "a\u001db"u8);
        Await(_guest.Fd, "a");
        Assert.True(console.WaitForExit(LimitMilliseconds));
        Assert.Equal(0, console.ExitCode);
        Await(_person.Fd, "detached from ");
        Assert.DoesNotContain("-icanon", Run("stty", "-F", _person.Path, "-a"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_key_can_be_chosen_and_works_while_the_guest_reads_nothing()
    {
        using FakeVmm vmm = Serve("Pty", "file", _guest.Path);
        Process console = Attach("--escape ctrl-a");
        Await(_person.Fd, "Ctrl-a detaches");
        byte[] paste = new byte[512];
        Array.Fill(paste, (byte)'x');
        // More than a terminal keeps for a reader that does not read.
        for (int i = 0; i < 100; i++)
        {
            FileIo.Write(_person.Fd, paste);
        }

        FileIo.Write(_person.Fd, "\u0001"u8);
        Assert.True(console.WaitForExit(LimitMilliseconds));
        Assert.Equal(0, console.ExitCode);
    }

    [Fact]
    public void It_ends_with_the_guests_terminal()
    {
        using FakeVmm vmm = Serve("Pty", "file", _guest.Path);
        Process console = Attach("");
        Await(_person.Fd, "detaches");
        _guest.Dispose();
        Assert.True(console.WaitForExit(LimitMilliseconds));
        Await(_person.Fd, "has closed its serial");
        Assert.Equal(0, console.ExitCode);
    }

    [Fact]
    public void Pipes_are_passed_on_as_they_are_also_to_a_socket()
    {
        string path = Path.Combine(_cli.Folder, "console.sock");
        using UnixListener listener = UnixListener.Bind(path, 1);
        using FakeVmm vmm = Serve("Socket", "socket", path);
        Process console = _cli.Start("cnvm", "--api-socket", Socket, "console");
        Assert.Equal(1, Poll.Wait([new PollEntry { Fd = listener.Fd, Events = PollEntry.In }], LimitMilliseconds));
        UnixStream guest = listener.Accept()!;
        console.StandardInput.Write("a\u001db");
        console.StandardInput.Close();
        Await(guest.Fd, "a\u001db");
        guest.Send("bye"u8);
        guest.Dispose();
        Assert.True(console.WaitForExit(LimitMilliseconds));
        Assert.Equal((0, "bye"), (console.ExitCode, console.StandardOutput.ReadToEnd()));
    }

    [Fact]
    public void A_vm_without_such_a_console_is_told()
    {
        using FakeVmm vmm = Serve("File", "file", "/x");
        CliResult result = _cli.Run("--api-socket", Socket, "console");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("serial is file", result.Error, StringComparison.Ordinal);
    }

    private FakeVmm Serve(string mode, string key, string path)
    {
        string info = $$$"""{"config":{"serial":{"mode":"{{{mode}}}","{{{key}}}":"{{{path}}}"},"console":{"mode":"Off"}},"state":"Running"}""";
        return new FakeVmm(Socket, FakeVmm.Answer(200, info));
    }

    private Process Attach(string options) =>
        _cli.Start("/bin/bash", "-c", $"exec \"$CNVM\" --api-socket fake.sock console {options} <>{_person.Path} >&0 2>&0");

    private void Stty(string settings) => Run("stty", ["-F", _person.Path, .. settings.Split(' ')]);

    private static string Run(string program, params string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(program, args) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(LimitMilliseconds));
        Assert.Equal(0, process.ExitCode);
        return output;
    }

    /// <summary>Reads until the text was seen.</summary>
    private static void Await(int fd, string text)
    {
        var seen = new StringBuilder();
        byte[] buffer = new byte[4096];
        var watch = Stopwatch.StartNew();
        while (!seen.ToString().Contains(text, StringComparison.Ordinal))
        {
            int left = LimitMilliseconds - (int)watch.ElapsedMilliseconds;
            Assert.True(left > 0 && Poll.Wait([new PollEntry { Fd = fd, Events = PollEntry.In }], left) > 0, $"waited for '{text}', saw '{seen}'");
            int count = FileIo.Read(fd, buffer);
            Assert.True(count > 0, $"the end came before '{text}', after '{seen}'");
            seen.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }
    }
}
