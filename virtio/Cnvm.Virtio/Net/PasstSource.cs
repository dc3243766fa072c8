using System.Globalization;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>
/// A passt(1) of one's own at the other end: started for each connection, which it gets as an open descriptor. It ends with its connection, so that none
/// is left behind whatever becomes of this process.
/// </summary>
internal sealed class PasstSource : IStreamSource
{
    public const string Missing = "there is no passt in PATH: install it (Debian: apt install passt), or give the interface a tap";

    private const int EndMilliseconds = 2000;
    private const int KillSignal = 9;
    private const int MaxWords = 400;

    private readonly PasstOptions _options;
    private DetachedProcess? _process;
    private UnixStream? _errors;

    /// <param name="options">Checked by the caller.</param>
    public PasstSource(PasstOptions options)
    {
        _options = options;
        Name = options.Program ?? PasstOptions.ProgramName;
    }

    public string Name { get; }

    public bool StartsProgram => true;

    public UnixStream? TryConnect(out string obstacle)
    {
        End();
        if ((_options.Program ?? ProgramPath.Find(PasstOptions.ProgramName)) is not { } program)
        {
            obstacle = Missing;
            return null;
        }

        (UnixStream stream, FileDescriptor given) = UnixStream.Pair(otherBlocks: true);
        try
        {
            using (given)
            {
                Start(program, given);
            }

            if (PasstGreeting.TryHear(stream, _process!.Fd))
            {
                obstacle = "";
                return stream;
            }
        }
        catch
        {
            stream.Dispose();
            End();
            throw;
        }

        stream.Dispose();
        obstacle = $"{program} has ended: {LastWords() ?? "it does not say why"}";
        End();
        return null;
    }

    public string? LastWords()
    {
        if (_errors is not { } errors)
        {
            return null;
        }

        byte[] words = new byte[MaxWords];
        int count = errors.Receive(words, []);
        string text = count > 0 ? Encoding.UTF8.GetString(words, 0, count).Trim().ReplaceLineEndings("; ") : "";
        return text.Length > 0 ? text : null;
    }

    public void Dispose() => End();

    private void Start(string program, FileDescriptor given)
    {
        // What it says has a place until it is read: it never waits for that.
        (UnixStream errors, FileDescriptor there) = UnixStream.Pair(otherBlocks: false);
        using (there)
        {
            try
            {
                _process = DetachedProcess.Start(program, Arguments(given.Value), there.Value, there.Value, [given.Value]);
                _errors = errors;
            }
            catch
            {
                errors.Dispose();
                throw;
            }
        }
    }

    private List<string> Arguments(int given)
    {
        List<string> words = [PasstOptions.ProgramName, "--foreground", "--stderr", "--quiet", "--fd", given.ToString(CultureInfo.InvariantCulture)];
        if (_options.Address?.Split('/') is [string address, string bits])
        {
            words.AddRange(["--address", address, "--netmask", bits]);
        }

        if (_options.Gateway is { } gateway)
        {
            words.AddRange(["--gateway", gateway]);
        }

        foreach (string ports in _options.TcpPorts)
        {
            words.AddRange(["--tcp-ports", ports]);
        }

        foreach (string ports in _options.UdpPorts)
        {
            words.AddRange(["--udp-ports", ports]);
        }

        return words;
    }

    /// <summary>Waits for the process, whose connection is closed: the next one wants its ports.</summary>
    private void End()
    {
        if (_process is { } process)
        {
            PollEntry ended = new() { Fd = process.Fd, Events = PollEntry.In };
            if (Poll.Wait(new Span<PollEntry>(ref ended), EndMilliseconds) == 0)
            {
                process.Signal(KillSignal);
                _ = Poll.Wait(new Span<PollEntry>(ref ended), -1);
            }

            _ = process.ExitCode();
            process.Dispose();
            _process = null;
        }

        _errors?.Dispose();
        _errors = null;
    }
}
