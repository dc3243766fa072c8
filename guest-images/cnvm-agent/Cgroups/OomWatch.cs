using System.Threading.Channels;
using Cnvm.GuestAgent.Io;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Cgroups;

/// <summary>Containers that have lost a process because they had no memory left.</summary>
internal sealed class OomWatch(DescriptorWatch watch, ConsoleLog log)
{
    private const int MostUnread = 1024;
    private readonly Channel<string> _events = Channel.CreateBounded<string>(
        new BoundedChannelOptions(MostUnread) { FullMode = BoundedChannelFullMode.DropOldest });

    /// <summary>Waits for the next one.</summary>
    public ValueTask<string> NextAsync(CancellationToken cancellation) => _events.Reader.ReadAsync(cancellation);

    /// <summary>Watches a container until <paramref name="ended"/>.</summary>
    public void Watch(string container, ControlGroup group, CancellationToken ended)
    {
        string path = $"{group.Folder}/memory.events";
        if (File.Exists(path))
        {
            var fd = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0), $"open {path}"));
            _ = FollowAsync(container, group, fd, ended);
        }
    }

    private async Task FollowAsync(string container, ControlGroup group, FileDescriptor fd, CancellationToken ended)
    {
        int number = fd.Value;
        using CancellationTokenRegistration registration = ended.UnsafeRegister(_ => watch.Forget(number), null);
        using (fd)
        {
            ulong known = 0;
            while (!ended.IsCancellationRequested)
            {
                try
                {
                    // Reading says which change has been seen; the next one makes the file ready.
                    byte[] content = new byte[256];
                    _ = FileCalls.Seek(number, 0, 0);
                    _ = FileIo.Read(number, content);
                    ulong kills = group.Numbers("memory.events").GetValueOrDefault("oom_kill");
                    if (kills > known)
                    {
                        known = kills;
                        log.Write($"container {container}: a process was ended because the container's memory is used up");
                        _events.Writer.TryWrite(container);
                        continue;
                    }

                    if (!await watch.WaitAsync(number, Libc.EPOLLPRI).ConfigureAwait(false))
                    {
                        return;
                    }
                }
                catch (IOException)
                {
                    // The group is gone, and the container with it.
                    return;
                }
            }
        }
    }
}
