using System.Runtime.InteropServices;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>What tests ask of the C library.</summary>
internal static partial class Native
{
    public const int SigKill = 9;
    public const int SigTerm = 15;
    public const int SigCont = 18;
    public const int SigStop = 19;

    public static void MakeFifo(string path) => Assert.True(mkfifo(path, 0x1b0) == 0, $"mkfifo {path}: {Marshal.GetLastPInvokeErrorMessage()}");

    public static int Kill(int process, int signal) => kill(process, signal);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkfifo(string path, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);
}
