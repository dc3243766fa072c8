using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Fs;

/// <summary>Answers FUSE requests whose server has gone: with an error, so that nobody in the guest waits for ever.</summary>
internal static class FuseRefusal
{
    private const uint AnswerBytes = 16;

    /// <summary>Answers one request; one that has no answer, or no room for it, gets none.</summary>
    /// <returns>Bytes written at the start of the chain's writable part.</returns>
    public static uint Answer(DescriptorChain chain)
    {
        var reader = new ChainReader(chain);
        if (!reader.TryRead(out fuse_in_header header)
            || header.opcode is FuseAbi.FUSE_FORGET or FuseAbi.FUSE_BATCH_FORGET or FuseAbi.FUSE_INTERRUPT
            || chain.WritableBytes < AnswerBytes)
        {
            return 0;
        }

        var answer = new fuse_out_header { len = AnswerBytes, error = -Errno.ENOTCONN, unique = header.unique };
        new ChainWriter(chain).Write(MemoryMarshal.AsBytes(new ReadOnlySpan<fuse_out_header>(in answer)));
        return AnswerBytes;
    }
}
