using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>The one funnel through which failed system calls become exceptions.</summary>
public static class LinuxError
{
    /// <summary>Error number of the last failed call on this thread.</summary>
    public static int Last => Marshal.GetLastPInvokeError();

    /// <summary>Returns <paramref name="result"/>, or throws when it is negative.</summary>
    /// <exception cref="LinuxException">The call failed.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Check(int result, string operation)
    {
        if (result < 0)
        {
            Throw(operation);
        }

        return result;
    }

    /// <inheritdoc cref="Check(int, string)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Check(nint result, string operation)
    {
        if (result < 0)
        {
            Throw(operation);
        }

        return result;
    }

    /// <exception cref="LinuxException">Always.</exception>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Throw(string operation) => throw new LinuxException(operation, Last);
}
