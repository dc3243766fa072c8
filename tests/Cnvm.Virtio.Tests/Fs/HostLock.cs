using System.Text;
using Cnvm.Linux;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>Another open file of the host's, which has locks of its own.</summary>
internal sealed unsafe class HostLock : IDisposable
{
    private readonly int _fd;

    public HostLock(string path)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            _fd = FileCalls.OpenAt(FileCalls.AT_FDCWD, name, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        }

        Assert.True(_fd >= 0, $"{path}: error {_fd}");
    }

    public bool Takes(short type, long start = 0, long end = long.MaxValue) => FileLocks.Set(_fd, type, start, end) == 0;

    public bool TakesWhole(short type) => FileLocks.SetWhole(_fd, type) == 0;

    public void Release()
    {
        Assert.True(Takes(FileLocks.F_UNLCK) && TakesWhole(FileLocks.F_UNLCK));
    }

    public void Dispose() => FileCalls.Close(_fd);
}
