using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>What the first process does with the machine: its time, its random numbers, its end.</summary>
[Abi("sys/reboot.h linux/random.h time.h sched.h")]
public static unsafe partial class Machine
{
    private const int RB_POWER_OFF = 0x4321fedc;
    private const nuint RNDADDENTROPY = 0x40085203;
    private const nuint RNDRESEEDCRNG = 0x5207;
    private const int CLOCK_REALTIME = 0;
    private const int MostRandomBytes = 4096;

    /// <summary>Writes what is in memory to the disks, and turns the machine off. Comes back only without the right to do so.</summary>
    public static void PowerOff()
    {
        sync();
        _ = reboot(RB_POWER_OFF);
    }

    /// <summary>Sets the clock of the day.</summary>
    /// <exception cref="LinuxException">The time is out of range, or the process may not.</exception>
    public static void SetTime(long seconds, long nanoseconds)
    {
        timespec time = new() { tv_sec = seconds, tv_nsec = nanoseconds };
        // SAFETY: the kernel reads a local.
        LinuxError.Check(clock_settime(CLOCK_REALTIME, &time), "clock_settime");
    }

    /// <summary>Gives bytes to the kernel's random number generator, which it counts as random, and has it use them at once.</summary>
    /// <param name="bytes">At most 4096.</param>
    /// <exception cref="LinuxException">There is no /dev/random, or the process may not.</exception>
    public static void AddRandomness(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes.Length, MostRandomBytes);
        using var device = new FileDescriptor(LinuxError.Check(Libc.open("/dev/random", Libc.O_RDWR | Libc.O_CLOEXEC, 0), "open /dev/random"));
        byte[] pool = new byte[8 + ((bytes.Length + 3) & ~3)];
        BinaryPrimitives.WriteInt32LittleEndian(pool, bytes.Length * 8);
        BinaryPrimitives.WriteInt32LittleEndian(pool.AsSpan(4), bytes.Length);
        bytes.CopyTo(pool.AsSpan(8));
        fixed (byte* p = pool)
        {
            // SAFETY: struct rand_pool_info has two numbers and as many bytes as the second says.
            LinuxError.Check(Libc.ioctl(device.Value, RNDADDENTROPY, p), "ioctl RNDADDENTROPY");
        }

        LinuxError.Check(Libc.ioctl(device.Value, RNDRESEEDCRNG, (nint)0), "ioctl RNDRESEEDCRNG");
    }

    [LibraryImport("libc")]
    private static partial void sync();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int reboot(int command);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int clock_settime(int clock, timespec* time);
}
