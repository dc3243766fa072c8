using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>AES rounds, where the host has them.</summary>
internal static unsafe class AesNi
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        !Aes.IsSupported ? null : m switch
        {
            Mnemonic.Aesenc => &Aesenc,
            Mnemonic.Aesenclast => &Aesenclast,
            Mnemonic.Aesdec => &Aesdec,
            Mnemonic.Aesdeclast => &Aesdeclast,
            Mnemonic.Aesimc => &Aesimc,
            _ => null,
        };

    private static void Aesenc(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.IsSupported ? Aes.Encrypt(*d, *s) : *d;

    private static void Aesenclast(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.IsSupported ? Aes.EncryptLast(*d, *s) : *d;

    private static void Aesdec(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.IsSupported ? Aes.Decrypt(*d, *s) : *d;

    private static void Aesdeclast(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.IsSupported ? Aes.DecryptLast(*d, *s) : *d;

    private static void Aesimc(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.IsSupported ? Aes.InverseMixColumns(*s) : *d;
}
