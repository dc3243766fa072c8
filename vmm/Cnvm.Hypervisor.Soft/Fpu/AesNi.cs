using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>AES rounds.</summary>
internal static unsafe class AesNi
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Aesenc => &Aesenc,
            Mnemonic.Aesenclast => &Aesenclast,
            Mnemonic.Aesdec => &Aesdec,
            Mnemonic.Aesdeclast => &Aesdeclast,
            Mnemonic.Aesimc => &Aesimc,
            _ => null,
        };

    private static void Aesenc(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.Encrypt(*d, *s);

    private static void Aesenclast(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.EncryptLast(*d, *s);

    private static void Aesdec(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.Decrypt(*d, *s);

    private static void Aesdeclast(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.DecryptLast(*d, *s);

    private static void Aesimc(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Aes.InverseMixColumns(*s);
}
