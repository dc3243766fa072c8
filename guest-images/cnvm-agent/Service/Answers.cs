using Cnvm.GuestAgent.Stage;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Service;

/// <summary>Does the work of a call, and makes its failure one that the caller understands.</summary>
internal static class Answers
{
    /// <summary>Work that may wait for the kernel or another process: on a thread of its own.</summary>
    public static Task<Empty> DoAsync(Action work) => GetAsync(() =>
    {
        work();
        return new Empty();
    });

    /// <inheritdoc cref="DoAsync"/>
    public static Task<T> GetAsync<T>(Func<T> work) => Task.Factory.StartNew(
        () =>
        {
            try
            {
                return work();
            }
            catch (StageException e)
            {
                throw new TtrpcException(TtrpcCode.InvalidArgument, e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or OverflowException or ArgumentException)
            {
                throw new TtrpcException(TtrpcCode.Internal, e.Message);
            }
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
