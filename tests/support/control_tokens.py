"""Control tokens that the large model families publish in their tokenizers, written down by hand."""

_LINES = """
<|endoftext|> <|im_start|> <|im_end|> <|im_sep|> <|endofprompt|> <|fim_prefix|> <|start|> <|channel|> <|message|>
<|return|> <tool_call> </tool_call> <tool_response> <|vision_start|> <|image_pad|> <|object_ref_start|>
<|repo_name|> <|file_sep|> <think> <s> </s> <unk> <pad> [INST] [/INST] [AVAILABLE_TOOLS] [TOOL_CALLS]
[SYSTEM_PROMPT] [/SYSTEM_PROMPT] [IMG] [THINK] [control_8] <|begin_of_text|> <|start_header_id|> <|eot_id|>
<|eom_id|> <|python_tag|> <|reserved_special_token_0|> <<SYS>> <</SYS>> <bos> <eos> <start_of_turn> <end_of_turn>
<unused0> <start_of_image> <image_soft_token> <mask> <2mass> <0x0A> <｜begin▁of▁sentence｜> <｜User｜> <｜Assistant｜>
<｜end▁of▁sentence｜> <｜tool▁calls▁begin｜> <｜fim▁hole｜> [gMASK] [sMASK] <sop> <eop> <|user|> <|assistant|>
<|observation|> <|begin_of_image|> <eod> <|START_OF_TURN_TOKEN|> <|USER_TOKEN|> <BOS_TOKEN> <EOP_TOKEN>
<|END_RESPONSE|> <|START_THINKING|> <|system|> <|end|> <|placeholder1|> <|startoftext|> <|pad|> <|tool_declare|>
<reponame> <filename> <gh_stars> <issue_start> <jupyter_start> <empty_output> <file_sep> <fim-prefix> <extra_id_0>
<SPECIAL_12> <seed:bos> <seed:think> <TOOLCALL> [CLS] [SEP] [PAD] [MASK] [UNK] [unused1] [BOS] [EOS] [|system|]
[|endofturn|] [|user|] [UNUSED_TOKEN_146] <eoh> <eoa> >>TITLE<< >>ABSTRACT<< >>INTRODUCTION<< >>SUMMARY<< >>ANSWER<<
|||IP_ADDRESS||| |||EMAIL_ADDRESS||| ]~b] ]!p~[ [e~[ ]<]speech[>[ <|im_user|> <|im_middle|>
<|tool_calls_section_begin|> <|media_start|> <reserved_106> <|separator|> <ctrl42> <loc0001> <seg001>
"""
MARKS = _LINES.split()
