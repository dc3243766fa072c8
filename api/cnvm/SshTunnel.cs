using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>A Unix socket of this user whose connections go through ssh to one at another host, each through a process of its own.</summary>
internal sealed class SshTunnel : IDisposable
{
    private const int Backlog = 8;
    private const int PatienceMilliseconds = 5_000;
    private readonly SshTarget _target;
    private readonly string _there;
    private readonly string _folder;
    private readonly UnixListener _listener;
    private readonly EventFd _end = new();
    private readonly List<DetachedProcess> _processes = [];
    private readonly Thread _thread;

    /// <param name="there">Path of the socket at the other host.</param>
    public SshTunnel(SshTarget target, string there)
    {
        _target = target;
        _there = there;
        _folder = Directory.CreateTempSubdirectory("cnvm-").FullName;
        Socket = Path.Combine(_folder, "tunnel");
        _listener = UnixListener.Bind(Socket, Backlog);
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>Path of the socket here.</summary>
    public string Socket { get; }

    /// <summary>Lets no further connection in, and waits for those that there are, for a while.</summary>
    public void Dispose()
    {
        _end.Signal();
        _thread.Join();
        _listener.Dispose();
        foreach (DetachedProcess process in _processes)
        {
            if (Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], PatienceMilliseconds) > 0)
            {
                _ = process.ExitCode();
            }

            process.Dispose();
        }

        _end.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private void Run()
    {
        PollEntry[] wait = [new() { Fd = _end.Fd, Events = PollEntry.In }, new() { Fd = _listener.Fd, Events = PollEntry.In }];
        while (true)
        {
            Poll.Wait(wait, -1);
            if (wait[0].Returned != 0)
            {
                return;
            }

            try
            {
                while (_listener.Accept() is { } connection)
                {
                    using (connection)
                    {
                        _processes.Add(_target.Start(["__relay", _there], connection.Fd, connection.Fd));
                    }
                }
            }
            catch (Exception e) when (e is LinuxException or CliException)
            {
                // The connection ends, and with it what came through it; the reason is for people.
                Output.Stdio.Error($"cnvm: {e.Message}");
            }
        }
    }
}
